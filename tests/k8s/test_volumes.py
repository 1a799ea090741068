"""What has to lie on a volume gets there by the commands that the README and the comments give, in that order."""

from __future__ import annotations

import re

import pytest
import yaml

from k8s.validate import build
from tests.k8s.conftest import Manifests, pick

README = (build.K8S / "README.md").read_text(encoding="utf-8")
COMPONENT = "app.kubernetes.io/component"


def claims(manifests: Manifests) -> dict[str, list[str]]:
    found = [each for each in manifests if each["kind"] == "PersistentVolumeClaim"]
    return {claim["metadata"]["name"]: claim["spec"]["accessModes"] for claim in found}


@pytest.mark.parametrize(
    ("target", "mode"), [("training/single", "ReadWriteOnce"), ("training/distributed", "ReadWriteMany")]
)
def test_as_many_nodes_may_mount_as_train(builds: dict[str, Manifests], target: str, mode: str) -> None:
    assert claims(builds[target]) == {"dataset": [mode], "runs": [mode]}


@pytest.mark.parametrize("target", ["training/single", "training/distributed"])
def test_data_can_be_there_before_the_training_begins(builds: dict[str, Manifests], target: str) -> None:
    [(key, without)] = set(re.findall(r"-l '(\S+)!=(\w+)'", README))
    first = {each["kind"] for each in builds[target] if each["metadata"].get("labels", {}).get(key) != without}
    assert first == {"Namespace", "NetworkPolicy", "PersistentVolumeClaim"}
    assert without == pick(builds[target], "Job")["metadata"]["labels"][COMPONENT]


def test_what_the_readme_fills_is_mounted_read_only(builds: dict[str, Manifests]) -> None:
    filled = dict(re.findall(r"k8s/fill\.sh ([\w-]+) (\S+?)[`\s]", README))
    assert filled == {"dataset": "data/ham10000", "lesion-model": "model_store"}
    for target, kind in (("training/single", "Job"), ("components/model-pvc", "Deployment")):
        pod = pick(builds[target], kind)["spec"]["template"]["spec"]
        sources = [volume["persistentVolumeClaim"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
        assert [source["claimName"] for source in sources if source.get("readOnly")] == [
            name for name in filled if name in claims(builds[target])
        ]


def test_the_models_claim_can_be_filled_by_one_pod_and_read_by_many(builds: dict[str, Manifests]) -> None:
    assert claims(builds["components/model-pvc"]) == {"lesion-model": ["ReadWriteMany"]}
    comment = (build.K8S / "components/model-pvc/kustomization.yaml").read_text(encoding="utf-8")
    files = re.findall(r"apply -f (k8s/\S+)", comment)
    kinds = [yaml.safe_load((build.ROOT / file).read_text(encoding="utf-8"))["kind"] for file in files]
    assert kinds == ["Namespace", "PersistentVolumeClaim"]
    assert "k8s/fill.sh lesion-model model_store" in comment


def test_a_lost_training_is_begun_again_as_often_as_the_comment_says(builds: dict[str, Manifests]) -> None:
    job = pick(builds["training/distributed"], "Job")["spec"]
    comment = (build.K8S / "training/distributed/job.yaml").read_text(encoding="utf-8")
    [times] = re.findall(r"is tried (\w+) times more", comment)
    assert {"three": 3}[times] * job["parallelism"] == job["backoffLimit"]
