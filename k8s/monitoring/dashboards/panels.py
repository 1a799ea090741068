"""The few kinds of panels and the frame that all dashboards share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import TypeAlias

from grafana_foundation_sdk.builders import barchart, common, heatmap, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
    TextBoxVariable,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import (
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    ScaleDistribution,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

NOTICE = "Research use only. Not a medical device."
SOURCE = models.DataSourceRef(type_val="prometheus", uid="$datasource")
MODEL = 'last_over_time(lesion_model_info{namespace=~"$namespace", name=~"$model", version=~"$version"}[1h])'
API = 'route=~"/v1/(predict|explain|compare)"'
Panel: TypeAlias = Builder[models.Panel]
Steps: TypeAlias = Sequence[tuple[float | None, str]]


def chosen(vector: str) -> str:
    """Only the series of pods that serve the chosen model and version, or did so within the hour."""
    return f"({vector} and on (namespace, pod) {MODEL})"


def series(
    title: str,
    unit: str,
    queries: Mapping[str, str],
    description: str,
    *,
    runbook: str = "",
    steps: Steps = (),
    stacked: bool = False,
    span: int = 8,
) -> Panel:
    """Lines over time; a query for each legend, thresholds drawn as lines."""
    panel = timeseries.Panel().title(title).description(description).datasource(SOURCE).unit(unit).span(span).height(8)
    panel = panel.min(0).show_points(VisibilityMode.NEVER).fill_opacity(10).links(_runbook(runbook))
    panel = panel.legend(_legend()).tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    for letter, (legend, expr) in zip(ascii_uppercase, queries.items(), strict=False):
        panel = panel.with_target(_query(expr, legend, letter))
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(40)
    if steps:
        style = common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.LINE)
        panel = panel.thresholds(_thresholds(steps)).thresholds_style(style)
    return panel


def number(
    title: str, unit: str, expr: str, description: str, *, steps: Steps, runbook: str = "", decimals: int = 2
) -> Panel:
    """One figure, coloured by its thresholds."""
    panel = stat.Panel().title(title).description(description).datasource(SOURCE).unit(unit).span(4).height(5)
    panel = panel.decimals(decimals).thresholds(_thresholds(steps)).links(_runbook(runbook))
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return panel.with_target(_query(expr, "").instant())


def heat(title: str, unit: str, expr: str, description: str) -> Panel:
    """A histogram over time; the expression gives increases by `le`."""
    colours = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(64)
    panel = heatmap.Panel().title(title).description(description).datasource(SOURCE).span(12).height(8)
    panel = panel.color(colours).y_axis(heatmap.YAxisConfig().unit(unit)).calculate(False)
    panel = panel.show_tooltip().scale_distribution(common.ScaleDistributionConfig().type(ScaleDistribution.LINEAR))
    return panel.with_target(_query(expr, "{{le}}").format(PromQueryFormat.HEATMAP))


def bars(title: str, unit: str, queries: Mapping[str, str], by: str, description: str, runbook: str = "") -> Panel:
    """Values of now beside each other, a group for each value of the label `by`."""
    panel = barchart.Panel().title(title).description(description).datasource(SOURCE).unit(unit).span(12).height(8)
    named = dict(zip(ascii_uppercase, queries, strict=False))
    for letter, legend in named.items():
        panel = panel.with_target(_query(queries[legend], legend, letter).instant().format(PromQueryFormat.TABLE))
    panel = panel.with_transformation(_transformation("joinByField", {"byField": by, "mode": "outer"}))
    # Grafana calls the columns of several tables Value #A, Time 1 and so on.
    renamed = {f"Value #{letter}": legend for letter, legend in named.items()}
    hidden = {f"Time {number}": True for number in range(1, len(named) + 1)}
    panel = panel.with_transformation(_transformation("organize", {"renameByName": renamed, "excludeByName": hidden}))
    return panel.x_field(by).min(0).legend(_legend()).links(_runbook(runbook))


def rows(
    title: str, expr: str, description: str, hidden: Sequence[str] = (), span: int = 24, runbook: str = ""
) -> Panel:
    """The labels of the series of now as a table."""
    panel = table.Panel().title(title).description(description).datasource(SOURCE).span(span).height(7)
    panel = panel.with_target(_query(expr, "").instant().format(PromQueryFormat.TABLE)).links(_runbook(runbook))
    exclude = dict.fromkeys(("Time", *hidden), True)
    return panel.with_transformation(_transformation("organize", {"excludeByName": exclude}))


def frame(title: str, about: str, sections: Mapping[str, Sequence[Panel]]) -> models.Dashboard:
    """A dashboard of these rows of panels, with the variables and links that all have."""
    builder = Dashboard(f"Dermserve / {title}").uid(f"dermserve-{title.lower()}").tags(["dermserve"]).readonly()
    builder = builder.description(f"{about} {NOTICE}").time("now-6h", "now").refresh("30s").timezone("browser")
    others = DashboardLink("Dermserve").type(models.DashboardLinkType.DASHBOARDS).tags(["dermserve"])
    builder = builder.link(others.include_vars(True).keep_time(True).as_dropdown(False))
    builder = builder.with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
    builder = builder.with_variable(_choice("namespace", "Namespace", "label_values(gateway_ready, namespace)"))
    named = 'label_values(lesion_model_info{namespace=~"$namespace"}, name)'
    versioned = 'label_values(lesion_model_info{namespace=~"$namespace", name=~"$model"}, version)'
    builder = builder.with_variable(_choice("model", "Model", named))
    builder = builder.with_variable(_choice("version", "Version", versioned))
    home = TextBoxVariable("runbooks").label("Runbooks").default_value("k8s/monitoring/runbooks.md")
    builder = builder.with_variable(home.description("Where your team reads k8s/monitoring/runbooks.md"))
    for name, panels in sections.items():
        builder = builder.with_row(Row(name))
        for panel in panels:
            builder = builder.with_panel(panel)
    built = builder.build()
    for identity, placed in enumerate(built.panels or [], start=1):
        placed.id_val = identity
    return built


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST)
    return legend.placement(LegendPlacement.BOTTOM)


def _query(expr: str, legend: str, letter: str = "A") -> Dataquery:
    return Dataquery().ref_id(letter).expr(expr).legend_format(legend or "__auto").datasource(SOURCE)


def _thresholds(steps: Steps) -> ThresholdsConfig:
    config = ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE)
    return config.steps([models.Threshold(value=value, color=color) for value, color in steps])


def _runbook(anchor: str) -> list[Builder[models.DashboardLink]]:
    return [DashboardLink("Runbook").url(f"${{runbooks}}#{anchor}").target_blank(True)] if anchor else []


def _transformation(name: str, options: object) -> models.DataTransformerConfig:
    return models.DataTransformerConfig(id_val=name, options=options)


def _choice(name: str, label: str, query: str) -> QueryVariable:
    variable = QueryVariable(name).label(label).query(query).datasource(SOURCE).include_all(True).all_value(".*")
    everything = models.VariableOption(selected=True, text="All", value="$__all")
    variable = variable.current(everything).multi(True)
    return variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
