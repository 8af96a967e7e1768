#!/usr/bin/env bash
# Made-up usage of four tenants, EVENTS_PER_SECOND (20) events a second until it is stopped: something to look at. One
# in 500 is not valid, so that the dead letters are not empty.
set -euo pipefail
export TZ=UTC

TENANTS=(acme acme acme globex globex initech umbrella)
ASSISTANTS=(research writer finance)
MODELS=(claude-sonnet-4-5 claude-sonnet-4-5 claude-haiku-4-5 gpt-5 gemini-2.5-pro)
# Ids are of this run: those of the one before are known already.
RUN=$EPOCHREALTIME

# A line for the producer: headers, key and value, separated by tabs.
event() {
    local tenant=${TENANTS[RANDOM % ${#TENANTS[@]}]} user=user-$((RANDOM % 25)) now
    printf -v now '%(%Y-%m-%dT%H:%M:%SZ)T' -1
    local in=$((RANDOM % 9000 + 100)) out=$((RANDOM % 1500 + 20)) saved=''
    if (($1 % 500 == 499)); then in=-1; fi
    if (($1 % 10 == 0)); then saved=",\"output\":{\"id\":\"result-$RUN-$1\",\"kind\":\"assistant_result\"}"; fi
    printf 'content-type:application/cloudevents+json\t%s:%s\t' "$tenant" "$user"
    printf '{"specversion":"1.0","id":"%s-%d","source":"sample","type":"ai.usage.recorded.v1","time":"%s","data":' \
        "$RUN" "$1" "$now"
    printf '{"tenantId":"%s","userId":"%s","assistant":"%s","model":"%s","tokensIn":%d,"tokensOut":%d,' \
        "$tenant" "$user" "${ASSISTANTS[RANDOM % ${#ASSISTANTS[@]}]}" "${MODELS[RANDOM % ${#MODELS[@]}]}" "$in" "$out"
    printf '"latencyMs":%d,"toolInvocations":{"webSearch":%d}%s}}\n' $((RANDOM % 4000 + 200)) $((RANDOM % 3)) "$saved"
}

events() {
    local number=0 until_second
    while :; do
        until_second=$((number + ${EVENTS_PER_SECOND:-20}))
        while ((number < until_second)); do
            event "$number"
            number=$((number + 1))
        done
        sleep 1
    done
}

events | "${KAFKA_BIN:-/opt/kafka/bin}/kafka-console-producer.sh" \
    --bootstrap-server "$KAFKA_BROKERS" --topic ai.usage.events.v1 \
    --reader-property parse.headers=true --reader-property parse.key=true
