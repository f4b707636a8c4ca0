# One line of output a step, with its seconds; the tail of its log when it fails.

STARTED=$EPOCHREALTIME

seconds_since() {
    awk -v now="$EPOCHREALTIME" -v then="$1" 'BEGIN { printf "%.1f", now - then }'
}

say() {
    printf '%s\n' "$*"
}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# step TEXT COMMAND...
# The command runs in a subshell of its own: bash ignores `set -e` inside a condition, and a step must stop at its first error.
step() {
    local text=$1 started=$EPOCHREALTIME log=$CACHE/run/.$CLUSTER.step.log status
    shift
    mkdir -p "$CACHE/run"
    printf '  %-52s ' "$text"
    set +e
    (set -e; "$@") >"$log" 2>&1
    status=$?
    set -e
    if ((status == 0)); then
        printf '%6s s\n' "$(seconds_since "$started")"
    else
        printf 'FAILED after %s s\n' "$(seconds_since "$started")"
        tail -n 40 "$log" | sed 's/^/    | /' >&2
    fi
    rm -f "$log"
    return "$status"
}

# take_lock: one up or down of a cluster at a time.  Processes that outlive the script must close descriptor 9.
take_lock() {
    mkdir -p "$CACHE/run"
    exec 9>"$CACHE/run/.$CLUSTER.lock"
    flock --nonblock 9 || {
        say "another up or down of the $CLUSTER cluster is running; waiting for it"
        flock 9
    }
}
