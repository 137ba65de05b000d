# until_true: waiting for an event with the patience of Patience.pm; sourced.

# until_true SECONDS COMMAND...: again and again until it succeeds. False: it did not within that time, which a busy
# machine stretches.
until_true() {
    local left_us=$(($1 * 1000000)) seen_us=${EPOCHREALTIME//[.,]/} cpus now_us step_us running
    cpus=$(nproc)
    shift
    while ((left_us > 0)); do
        "$@" && return
        sleep 0.02
        now_us=${EPOCHREALTIME//[.,]/}
        step_us=$((now_us - seen_us < 1000000 ? now_us - seen_us : 1000000)) # longer: we were stopped
        seen_us=$now_us
        read -r _ _ _ running _ </proc/loadavg
        running=$((${running%/*} - 1)) # without this shell
        left_us=$((left_us - (running > cpus ? step_us * cpus / running : step_us)))
    done
    return 1
}
