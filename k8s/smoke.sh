#!/usr/bin/env bash
# Check the deployment on the cluster that kubectl reaches: it predicts, refuses, is locked down and shut off.
#   k8s/smoke.sh [--namespace dermserve] [--open-network]
# --open-network: the cluster's network plugin does not enforce policies; say so, and do not fail for it.
# API_KEY: the key to ask with, where components/api-keys is in use.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

namespace=dermserve
open_network=''
while (($#)); do
  case $1 in
    --namespace) namespace=${2:?--namespace needs a name}; shift 2 ;;
    --open-network) open_network=yes; shift ;;
    *) sed -n '2,5s/^# //p' "$0"; exit 2 ;;
  esac
done
k() { kubectl --namespace "$namespace" "$@"; }
failed=0
check() { # WHAT COMMAND... : runs the command, says how it went
  local what=$1 seen
  shift
  if seen=$("$@" 2>&1); then echo "ok   $what${seen:+: $seen}"; else echo "FAIL $what: $seen"; failed=1; fi
}

command -v kubectl >/dev/null || { echo "kubectl is not installed" >&2; exit 1; }
kubectl version --request-timeout=10s >/dev/null 2>&1 \
  || { echo "no cluster answers: set KUBECONFIG or a context; kubectl cluster-info says what is tried" >&2; exit 1; }
k get deployment dermserve >/dev/null || { echo "no deployment dermserve in namespace $namespace: kubectl apply -k k8s/overlays/cpu" >&2; exit 1; }
check "the rollout is complete" k rollout status deployment/dermserve --timeout=300s
pod=$(k get pods --selector app.kubernetes.io/name=dermserve,app.kubernetes.io/component=inference \
  --field-selector status.phase=Running --output 'jsonpath={.items[0].metadata.name}')
image=$(k get pod "$pod" --output 'jsonpath={.spec.containers[0].image}')
pod_ip=$(k get pod "$pod" --output 'jsonpath={.status.podIP}')
service_ip=$(k get service dermserve --output 'jsonpath={.spec.clusterIP}')

for container in torchserve gateway; do
  inside() { k exec "$pod" --container "$container" -- "$@"; }
  # shellcheck disable=SC2016 # expanded in the container
  check "$container is not root, has a read-only root, no token, no compiler" inside sh -c '
    test "$(id -u)" -ne 0 || { echo "runs as root"; exit 1; }
    ! touch /app/x 2>/dev/null || { echo "the root file system can be written"; exit 1; }
    ! test -e /var/run/secrets/kubernetes.io/serviceaccount/token || { echo "holds an API token"; exit 1; }
    ! command -v cc gcc clang tcc || { echo "holds a compiler"; exit 1; }
    echo "uid $(id -u)"'
done
check "the disruption budget is there" k get poddisruptionbudget dermserve --output 'jsonpath={.spec.maxUnavailable} may be missing'
check "an autoscaler is there" k get horizontalpodautoscaler --output 'jsonpath={.items[0].spec.minReplicas} to {.items[0].spec.maxReplicas} pods'

run="dermserve-smoke-$$"
cleanup() { k delete pod,configmap,secret --selector "dermserve/smoke=$run" --ignore-not-found --wait=false >/dev/null 2>&1 || true; }
trap cleanup EXIT
k create configmap "$run" --from-file="$here/smoke/probe.py" >/dev/null
k label configmap "$run" "dermserve/smoke=$run" >/dev/null
if [[ ${API_KEY:-} ]]; then
  # By way of a pipe: arguments are there for every process to see.
  printf %s "$API_KEY" | k create secret generic "$run" --from-file=key=/dev/stdin >/dev/null
  k label secret "$run" "dermserve/smoke=$run" >/dev/null
fi

probe() { # ROLE EXTRA-LABEL ARGUMENTS... : a pod that runs probe.py and is as locked down as ours
  local role=$1 label=$2 quoted
  shift 2
  quoted=$(printf ', "%s"' "$@")
  k apply --filename - >/dev/null <<POD
apiVersion: v1
kind: Pod
metadata:
  name: $run-$role
  labels: {"dermserve/smoke": "$run"$label}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext: {runAsNonRoot: true, runAsUser: 10001, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: probe
      image: $image
      imagePullPolicy: IfNotPresent
      args: [python, /smoke/probe.py$quoted]
      env: [{name: API_KEY, valueFrom: {secretKeyRef: {name: $run, key: key, optional: true}}}]
      resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 64Mi}}
      securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
      volumeMounts: [{name: smoke, mountPath: /smoke, readOnly: true}]
  volumes: [{name: smoke, configMap: {name: $run}}]
POD
  local phase=''
  for _ in $(seq 120); do
    phase=$(k get pod "$run-$role" --output 'jsonpath={.status.phase}')
    [[ $phase != Succeeded && $phase != Failed ]] || break
    sleep 1
  done
  k logs "$run-$role" || true
  [[ $phase == Succeeded ]]
}
echo "-- as a client with the label, through the Service; TorchServe's own ports are shut for it too"
probe client ', "dermserve/client": "true"' client "$service_ip:80" "$pod_ip:8080" "$pod_ip:8081" "$pod_ip:8082" || failed=1
echo "-- as an outsider"
if ! probe outsider '' outsider "$service_ip:80" "$pod_ip:8000" "$pod_ip:8080" "$pod_ip:8081" "$pod_ip:8082"; then
  if [[ $open_network ]]; then echo "note: this cluster does not enforce network policies"; else failed=1; fi
fi
((failed == 0)) || { echo "something is wrong" >&2; exit 1; }
echo "all well"
