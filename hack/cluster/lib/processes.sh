# Long-running processes, recorded as "pid start-time" in $RUN/pids/NAME, so that a number the kernel gave
# to somebody else in the meantime is never taken for ours.

# start_time PID: clock ticks since boot at which it started; empty when there is no such process.
start_time() {
    sed -n 's/.*) //p' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
}

process_pid() {
    local pid started
    read -r pid started 2>/dev/null <"$RUN/pids/$1" || return 1
    [[ $(start_time "$pid") == "$started" ]] || return 1
    [[ $(sed -n 's/.*) //p' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f1) != Z ]] || return 1
    echo "$pid"
}

process_runs() {
    process_pid "$1" >/dev/null
}

# start_process NAME COMMAND...: in a session of its own, detached from this terminal and from the lock.
start_process() {
    local name=$1 pid
    shift
    process_runs "$name" && return
    mkdir -p "$RUN/pids" "$LOGS"
    setsid "$@" >>"$LOGS/$name.log" 2>&1 </dev/null 9>&- &
    pid=$!
    echo "$pid $(start_time "$pid")" >"$RUN/pids/$name"
}

# await_process NAME SECONDS COMMAND...: until the command succeeds; at once when the process ends instead.
await_process() {
    local name=$1 deadline=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ! process_runs "$name" || ((SECONDS >= deadline)); then
            echo "$name did not come up; the end of its log:"
            tail -n 25 "$LOGS/$name.log"
            return 1
        fi
        sleep 0.1
    done
}

# stop_processes SECONDS NAME...: TERM to all, then KILL to those still there after that long.
stop_processes() {
    local seconds=$1 deadline name pid
    deadline=$(deciseconds $((seconds * 10)))
    shift
    for name in "$@"; do
        if pid=$(process_pid "$name"); then
            kill -TERM "$pid" 2>/dev/null || true
        fi
    done
    for name in "$@"; do
        while pid=$(process_pid "$name"); do
            (($(deciseconds) < deadline)) || kill -KILL "$pid" 2>/dev/null || true
            sleep 0.05
        done
        rm -f "$RUN/pids/$name"
    done
}

# deciseconds [LATER]: tenths of seconds since the epoch, LATER tenths from now.
deciseconds() {
    echo $((${EPOCHREALTIME%.*} * 10 + 10#${EPOCHREALTIME#*.} / 100000 + ${1:-0}))
}

recorded_processes() {
    local file
    for file in "$RUN"/pids/*; do
        [[ ! -e $file ]] || echo "${file##*/}"
    done
}

all_processes_run() {
    local name
    for name in $(recorded_processes); do
        process_runs "$name" || return 1
    done
}
