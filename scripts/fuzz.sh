#!/bin/sh
# Look for faults for MINUTES, with new random cases at every run: fuzz.sh MINUTES [DEVICES].
# First one round of the property tests with new examples, then `picograd fuzz` for what is left of
# the time. Both print their seeds, and how to repeat what fails; the end is non-zero if anything did.
set -u
end=$(($(date +%s) + 60 * ${1:-30}))
devices=${2:-reference,cpu,gpu}
bin=${BIN:-.venv/bin}
jobs=${JOBS:-2}
out=${OUT:-picograd-fuzz}
seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
status=0

set -- tests/check/test_properties.py -q --hypothesis-profile=explore --hypothesis-seed="$seed"
echo "fuzz: property tests, seed $seed"
# At most a third of the time, so that there is enough for the rest.
third=$(( (end - $(date +%s)) / 3 ))
timeout "$third" "$bin/pytest" -n "$jobs" -p no:cacheprovider "$@" || properties=$?
case ${properties:-0} in
    0) echo "fuzz: the property tests hold" ;;
    124) echo "fuzz: the property tests were stopped: a third of the time is over" ;;
    *)
        echo "fuzz: a property fails; this repeats it: $bin/pytest $*"
        status=1
        ;;
esac

left=$((end - $(date +%s)))
"$bin/picograd" fuzz --minutes "$(awk "BEGIN { print $left / 60 }")" --devices "$devices" \
    --jobs "$jobs" -o "$out" --json "$out.json" || status=1
exit $status
