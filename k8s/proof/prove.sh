#!/usr/bin/env bash
# The whole proof on the cluster that kubectl reaches: apply the CPU overlay as it is, smoke test, every fault under load, table.
#   k8s/proof/prove.sh IMAGE [COMMAND...]     COMMAND brings an image to the nodes (see images.sh)
# IMAGE is the one that the overlay names (image/build.sh makes it). A namespace `dermserve` is made, and left for a look:
# kubectl delete -k k8s/overlays/cpu takes all away.
# Environment: APPLY (default `kubectl apply -f -`; an API server older than 1.25 needs a command that rewrites API versions),
# PYTHON (one that has aiohttp), and what faults.sh reads. For example:
#   PYTHON=.venv/bin/python TIMES=10 k8s/proof/prove.sh localhost/dermserve:0.1.0-cpu kind load docker-image
set -euo pipefail
cd "$(dirname "$0")/../.."
(($#)) || { sed -n '2,8s/^# //p' "$0" >&2; exit 2; }
overlay=$(kubectl kustomize k8s/overlays/cpu)
grep -qF "image: $1" <<<"$overlay" || { echo "k8s/overlays/cpu does not run $1 but $(grep -m1 -o 'image: .*' <<<"$overlay")" >&2; exit 2; }
export OUT=${OUT:-$(mktemp -d)}
mkdir -p "$OUT"
{
  echo "commit $(git rev-parse --short HEAD)$(git diff --quiet HEAD -- k8s image gateway stack handler Dockerfile || echo ' and changes')"
  kubectl version 2>/dev/null | grep -i server || true
  nproc | sed 's/$/ cores here, load average/' | paste -d' ' - <(cut -d' ' -f1-3 /proc/loadavg)
} | tee "$OUT/circumstances.txt"
k8s/proof/images.sh "$@"
began=$SECONDS
read -ra apply <<<"${APPLY:-kubectl apply -f -}"
"${apply[@]}" <<<"$overlay"
kubectl apply -f k8s/proof/node-port.yaml
kubectl --namespace dermserve rollout status deployment/dermserve --timeout=300s
echo "ready $((SECONDS - began)) s after the apply" | tee -a "$OUT/circumstances.txt"
k8s/smoke.sh | tee "$OUT/smoke.txt"
k8s/proof/faults.sh all
cat "$OUT/circumstances.txt"
