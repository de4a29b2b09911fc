#!/bin/sh
# Look for failures with new random examples: fuzz.sh MINUTES, rounds of the property tests until the
# time is over. Each round prints its seed, and the first that fails ends the run with the command
# that repeats it.
set -eu
end=$(($(date +%s) + 60 * ${1:-30}))
bin=${BIN:-.venv/bin}
round=0
while [ "$(date +%s)" -lt "$end" ]; do
  round=$((round + 1))
  seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
  set -- tests/check -q -x --hypothesis-profile=explore --hypothesis-seed="$seed"
  echo "fuzz: round $round, seed $seed"
  if ! "$bin/pytest" -n "${JOBS:-2}" "$@"; then
    echo "fuzz: round $round failed; this repeats it: $bin/pytest $*"
    exit 1
  fi
done
echo "fuzz: $round rounds without a failure"
