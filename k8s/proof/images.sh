#!/usr/bin/env bash
# Two more images for the proof, each IMAGE with another archive: IMAGE-next (another version) and IMAGE-bad (refuses to start).
#   k8s/proof/images.sh IMAGE [COMMAND...]     COMMAND, called with each of the three, brings an image to the nodes, such as
#                                              `docker push` or `kind load docker-image`
# Environment: PYTHON (python3), TOOL (docker, podman or buildah: the one whose store has IMAGE).
set -euo pipefail
cd "$(dirname "$0")/../.."
image=${1:-}
[[ $image ]] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
shift
if [[ -z ${TOOL:-} ]]; then
  for TOOL in docker podman buildah; do
    if "$TOOL" inspect "$image" >/dev/null 2>&1; then break; fi
  done
fi
"$TOOL" inspect "$image" >/dev/null || { echo "no $image in the store of docker, podman or buildah: image/build.sh makes it" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m k8s.proof.variants model_store/lesion.mar "$folder" >/dev/null
for variant in next bad; do
  printf 'FROM %s\nCOPY lesion.mar lesion.mar.sha256 /app/model_store/\n' "$image" >"$folder/$variant/Dockerfile"
  chmod -R a+rX "$folder"
  if [[ $TOOL == docker ]]; then docker build --quiet --tag "$image-$variant" "$folder/$variant"; else
    "$TOOL" build --quiet --format docker --tag "$image-$variant" "$folder/$variant"
  fi
done
(($# == 0)) || for each in "$image" "$image-next" "$image-bad"; do "$@" "$each"; done
