#!/usr/bin/env bash
# Copy a folder's files into a claim, by way of a pod that does nothing else and is gone afterwards.
#   k8s/fill.sh CLAIM FOLDER [--namespace dermserve] [--image localhost/dermserve:VERSION-cpu]
# --image: any variant of ours that the cluster can pull; it needs tar.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

namespace=dermserve
image=localhost/dermserve:$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/../pyproject.toml")-cpu
wanted=()
while (($#)); do
  case $1 in
    --namespace) namespace=${2:?--namespace needs a name}; shift 2 ;;
    --image) image=${2:?--image needs a name}; shift 2 ;;
    -*) sed -n '2,4s/^# //p' "$0"; exit 2 ;;
    *) wanted+=("$1"); shift ;;
  esac
done
((${#wanted[@]} == 2)) || { sed -n '2,4s/^# //p' "$0"; exit 2; }
claim=${wanted[0]} folder=${wanted[1]}
k() { kubectl --namespace "$namespace" "$@"; }

command -v kubectl >/dev/null || { echo "kubectl is not installed" >&2; exit 1; }
[[ -d $folder ]] || { echo "$folder is no folder" >&2; exit 1; }
k get persistentvolumeclaim "$claim" >/dev/null || { echo "no claim $claim in namespace $namespace: apply it first" >&2; exit 1; }

pod="dermserve-fill-$$"
trap 'k delete pod "$pod" --ignore-not-found --wait=false >/dev/null' EXIT
k apply --filename - >/dev/null <<POD
apiVersion: v1
kind: Pod
metadata:
  name: $pod
  namespace: $namespace
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: 1
  securityContext: {runAsNonRoot: true, runAsUser: 10001, runAsGroup: 10001, fsGroup: 10001, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: fill
      image: $image
      imagePullPolicy: IfNotPresent
      # Ends by itself after a day, should nobody be left to delete it.
      args: [sleep, "86400"]
      resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 128Mi}}
      securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
      volumeMounts: [{name: claim, mountPath: /volume}]
  volumes: [{name: claim, persistentVolumeClaim: {claimName: $claim}}]
POD
k wait pod "$pod" --for=condition=Ready --timeout=300s >/dev/null \
  || { k get events --field-selector "involvedObject.name=$pod" >&2; echo "no pod could mount $claim" >&2; exit 1; }
# The folder's entries and not the folder: a volume's root belongs to somebody else, whose times tar may not set.
(cd "$folder" && find . -mindepth 1 -maxdepth 1 -print0 | tar --create --null --files-from=- --file=-) \
  | k exec --stdin "$pod" -- tar --extract --no-same-owner --no-same-permissions --directory=/volume --file=-
echo "$claim holds what was in $folder"
