#!/usr/bin/env bash
# Break the deployment on purpose under steady load, and count on the client's side what that did.
#   k8s/proof/faults.sh all | FAULT...     FAULT: rollout delete delete-starting worker bad-model memory
# It needs a deployment `dermserve` that kubectl reaches, node-port.yaml applied, and the images of k8s/proof/images.sh on the
# nodes. It begins and ends with the deployment as it found it, and prints one row of PROOF.md's table for each fault.
# Environment, with defaults: URL (http://127.0.0.1:30800), RATE (15 requests a second), TIMES (1; how often to delete a pod),
# OUT (a new folder; reports, logs of every container), PYTHON (python3; one that has aiohttp),
# OLD (the image that runs), NEW (OLD-next), BAD (OLD-bad).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
usage() { sed -n '2,8s/^# //p' "$0" >&2; exit 2; }
(($#)) || usage
[[ $1 != all ]] || set -- rollout delete delete-starting worker bad-model memory
for fault; do
  [[ " rollout delete delete-starting worker bad-model memory " == *" $fault "* ]] || usage
done
url=${URL:-http://127.0.0.1:30800}
rate=${RATE:-15}
times=${TIMES:-1}
out=${OUT:-$(mktemp -d)}
python=${PYTHON:-python3}
selector=app.kubernetes.io/name=dermserve,app.kubernetes.io/component=inference
k() { kubectl --namespace dermserve "$@"; }
say() { echo "$(date +%T) $*"; }
seen() { say "$2"; echo "$2" >>"$out/$1.seen"; } # FAULT WORDS : also for the table

pods() { k get pods --selector "$selector" --no-headers --output custom-columns=NAME:.metadata.name,READY:'.status.containerStatuses[*].ready',RESTARTS:'.status.containerStatuses[*].restartCount',IMAGE:'.spec.containers[0].image',DELETED:.metadata.deletionTimestamp; }
by_age() { k get pods --selector "$selector" --sort-by=.metadata.creationTimestamp --output 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}'; }
oldest() { by_age | sed -n 1p; }
newest() { by_age | sed -n "\$p"; }
settled() { # every pod of the newest version ready, and the old ones gone
  k rollout status deployment/dermserve --timeout=300s >/dev/null
  local deadline=$((SECONDS + 180))
  while pods | grep -E 'false|none,|Z$' >/dev/null; do
    ((SECONDS < deadline)) || { say "not settled after 180 s"; pods; return 1; }
    sleep 2
  done
}
images() { k set image deployment/dermserve "torchserve=$1" "gateway=$1" >/dev/null; }
follow() { # FAULT POD... : their logs, because they go with the pod
  local fault=$1 pod container
  shift
  for pod; do
    for container in torchserve gateway; do
      k logs --follow --timestamps "$pod" --container "$container" >"$out/$fault-$pod-$container.log" 2>&1 &
    done
  done
}
under_load() { # FAULT SECONDS COMMAND... : the load runs for so long, the command begins five seconds into it
  local fault=$1 seconds=$2 loader
  shift 2
  settled
  mapfile -t before < <(by_age)
  follow "$fault" "${before[@]}"
  "$python" "$here/load.py" --url "$url" --rate "$rate" --seconds "$seconds" >"$out/$fault.json.part" &
  loader=$!
  sleep 5
  "$@"
  wait "$loader"
  mv "$out/$fault.json.part" "$out/$fault.json"
}
delete() { # FAULT POD : seconds from its deletion until its containers have ended and until its object is gone
  local began ended='' now
  began=$(date +%s)
  k delete pod "$2" --wait=false >/dev/null
  while now=$(k get pod "$2" --output 'jsonpath={range .status.containerStatuses[*]}{.state.terminated.exitCode}{";"}{end}' 2>/dev/null); do
    [[ $ended || ! $now =~ ^[0-9]+\;[0-9]+\;$ ]] || { ended=$(($(date +%s) - began)); seen "$1" "containers ended after ${ended} s with exit codes $now"; }
    sleep 0.5
  done
  seen "$1" "pod gone after $(($(date +%s) - began)) s"
}
delete_starting() { # FAULT : a pod whose processes have begun, and whose handlers for signals may not be there yet
  local pod deadline=$((SECONDS + 60))
  k delete pod "$(oldest)" --wait=false >/dev/null
  until pod=$(newest) && [[ " ${before[*]} " != *" $pod "* && $(k get pod "$pod" --output 'jsonpath={.status.containerStatuses[*].state.running.startedAt}') ]]; do
    ((SECONDS < deadline)) || { seen "$1" "no new pod after 60 s"; return 1; }
    sleep 0.2
  done
  follow "$1" "$pod"
  delete "$1" "$pod"
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
  seen memory "$(k get pod "$pod" --output 'jsonpath={range .status.containerStatuses[*]}{.name}{" restarted "}{.restartCount}{" times "}{.lastState.terminated.reason}{" "}{end}')"
}
bad_model() {
  images "$bad"
  sleep 60
  seen bad-model "$(pods | awk -v bad="$bad" '{ n += $4 == bad; ready += $4 == bad && $2 == "true,true" } END { print n + 0 " pods with the bad model, " ready + 0 " of them ready" }')"
  k rollout undo deployment/dermserve >/dev/null
}

"$python" -c 'import aiohttp' || { echo "$python has no aiohttp: set PYTHON" >&2; exit 2; }
k get deployment dermserve >/dev/null || { echo "no deployment dermserve: kubectl apply -k k8s/overlays/cpu" >&2; exit 2; }
settled
[[ $("$python" "$here/load.py" --url "$url" --rate 5 --seconds 1) == *'"failed": 0'* ]] || { echo "$url does not answer: kubectl apply -f $here/node-port.yaml, or set URL" >&2; exit 2; }
old=${OLD:-$(k get deployment dermserve --output 'jsonpath={.spec.template.spec.containers[0].image}')}
new=${NEW:-$old-next} bad=${BAD:-$old-bad}
mkdir -p "$out"
say "images $old, $new, $bad; reports and logs in $out"
trap 'jobs -p | xargs -r kill 2>/dev/null || true' EXIT

for fault; do
  say "== $fault"
  case $fault in
    rollout) under_load rollout 110 images "$new"; settled; under_load rollback 110 images "$old" ;;
    delete) for ((n = 1; n <= times; n++)); do under_load "delete-$n" 45 delete "delete-$n" "$(oldest)"; done ;;
    delete-starting) under_load delete-starting 60 delete_starting delete-starting ;;
    worker) under_load worker 30 kill_worker ;;
    bad-model) under_load bad-model 75 bad_model ;;
    memory) under_load memory 45 exceed_memory ;;
  esac
  settled
  pods
done
"$python" "$here/table.py" "$out"
