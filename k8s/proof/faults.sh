#!/usr/bin/env bash
# Break the deployment on purpose under steady load, and count on the client's side what that did.
#   k8s/proof/faults.sh FAULT... [with FAULT one of: rollout delete worker memory bad-model]
# Environment: URL (default the NodePort of node-port.yaml), RATE and SECONDS_LOAD of the load, OUT (a folder for what was seen),
# OLD, NEW and BAD (images; BAD holds a model that its own worker refuses), PYTHON (one that has aiohttp).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
url=${URL:-http://127.0.0.1:30800}
rate=${RATE:-15}
out=${OUT:-$(mktemp -d)}
python=${PYTHON:-python3}
selector=app.kubernetes.io/name=dermserve,app.kubernetes.io/component=inference
mkdir -p "$out"
k() { kubectl --namespace dermserve "$@"; }
say() { echo "$(date +%T) $*"; }

pods() { k get pods --selector "$selector" --no-headers --output custom-columns=NAME:.metadata.name,READY:'.status.containerStatuses[*].ready',RESTARTS:'.status.containerStatuses[*].restartCount',IMAGE:'.spec.containers[0].image',DELETED:.metadata.deletionTimestamp; }
oldest() { k get pods --selector "$selector" --sort-by=.metadata.creationTimestamp --output 'jsonpath={.items[0].metadata.name}'; }
settled() { # every pod of the newest version ready, and the old ones gone
  k rollout status deployment/dermserve --timeout=300s >/dev/null
  local deadline=$((SECONDS + 180))
  while pods | grep -qE 'false|none,|Z$'; do
    ((SECONDS < deadline)) || { say "not settled after 180 s"; pods; return 1; }
    sleep 2
  done
}
images() { k set image deployment/dermserve "torchserve=$1" "gateway=$1" >/dev/null; }
follow() { # the logs of every pod there is, because they go with the pod
  local pod container
  for pod in $(k get pods --selector "$selector" --output name); do
    for container in torchserve gateway; do
      k logs --follow --tail=0 --timestamps "$pod" --container "$container" >"$out/$1-${pod##*/}-$container.log" 2>&1 &
    done
  done
}
under_load() { # NAME SECONDS COMMAND... : the load runs for so long, the command begins five seconds into it
  local name=$1 seconds=$2 loader
  shift 2
  settled
  follow "$name"
  "$python" "$here/load.py" --url "$url" --rate "$rate" --seconds "$seconds" >"$out/$name.json" &
  loader=$!
  sleep 5
  "$@"
  wait "$loader"
  say "$name: $(tr -d '\n' <"$out/$name.json" | cut -c1-400)"
}
gone() { # POD : seconds from its deletion until its containers have ended and until its object is gone
  local began ended='' now
  began=$(date +%s)
  k delete pod "$1" --wait=false >/dev/null
  while now=$(k get pod "$1" --output 'jsonpath={range .status.containerStatuses[*]}{.state.terminated.exitCode}{";"}{end}' 2>/dev/null); do
    [[ $ended || ! $now =~ ^[0-9]+\;[0-9]+\;$ ]] || { ended=$(($(date +%s) - began)); say "containers ended after ${ended}s, exit codes $now"; }
    sleep 0.5
  done
  say "pod $1 gone after $(($(date +%s) - began))s"
}
kill_worker() {
  local pod
  pod=$(oldest)
  say "kill -9 of one worker process in $pod"
  # shellcheck disable=SC2016
  k exec "$pod" --container torchserve -- python -c '
import os, pathlib, signal
workers = [p for p in pathlib.Path("/proc").glob("[0-9]*") if b"model_service_worker" in (p / "cmdline").read_bytes()]
workers = [p for p in workers if int(p.name) not in (1, os.getpid())]
os.kill(int(workers[0].name), signal.SIGKILL)
print("killed", workers[0].name, "of", len(workers))'
}
exceed_memory() { # by many small processes, so that Java, offered first, is what the kernel kills
  local pod
  pod=$(oldest)
  say "memory beyond the limit of torchserve in $pod"
  k exec "$pod" --container torchserve -- python -c '
import os, time
open("/proc/1/oom_score_adj", "w").write("1000")
for _ in range(100):
    if os.fork() == 0:
        held = bytearray(b"x" * 2**25)
        time.sleep(60)
        os._exit(0)
    time.sleep(0.05)
time.sleep(60)' || say "the exec ended with $?"
  k get pod "$pod" --output 'jsonpath={range .status.containerStatuses[*]}{.name}{": restarts "}{.restartCount}{", last ended as "}{.lastState.terminated.reason}{"\n"}{end}'
}

for fault; do
  say "== $fault"
  case $fault in
    rollout) under_load rollout 110 images "${NEW:?}"; settled; under_load rollback 110 images "${OLD:?}" ;;
    delete) under_load delete 45 gone "$(oldest)" ;;
    worker) under_load worker 30 kill_worker ;;
    memory) under_load memory 45 exceed_memory ;;
    bad-model)
      under_load bad-model 75 images "${BAD:?}"
      pods
      k rollout undo deployment/dermserve
      settled
      ;;
    *) sed -n '2,5s/^# //p' "$0"; exit 2 ;;
  esac
  settled
  pods
done
