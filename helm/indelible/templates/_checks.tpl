{{/*
What the schema can't say: values that do not go together. Every fault is told at once, as the program does with its
settings.
*/}}
{{- define "indelible.checks" -}}
{{- $faults := concat
      ((include "indelible.checks.roles" . | fromJson).faults)
      ((include "indelible.checks.scaling" . | fromJson).faults)
      ((include "indelible.checks.connections" . | fromJson).faults)
      ((include "indelible.checks.auth" . | fromJson).faults)
      ((include "indelible.checks.running" . | fromJson).faults)
      ((include "indelible.checks.config" . | fromJson).faults) -}}
{{- if $faults -}}
{{- fail (printf "\n%d of the values can't be used:\n  %s" (len $faults) (join "\n  " $faults)) -}}
{{- end -}}
{{- end -}}

{{- define "indelible.checks.roles" -}}
{{- $faults := list -}}
{{- if not (or .Values.all.enabled .Values.worker.enabled .Values.api.enabled) -}}
{{- $faults = append $faults "worker.enabled, api.enabled, all.enabled: no role is deployed; enable one" -}}
{{- end -}}
{{- if and .Values.all.enabled (or .Values.worker.enabled .Values.api.enabled) -}}
{{- $faults = append $faults "all.enabled: goes with neither worker.enabled nor api.enabled; it is both of them in one process" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not (or .Values.all.enabled .Values.api.enabled)) -}}
{{- $faults = append $faults "ingress.enabled: no API is deployed that it could lead to" -}}
{{- end -}}
{{- dict "faults" $faults | toJson -}}
{{- end -}}

{{- define "indelible.checks.scaling" -}}
{{- $faults := list -}}
{{- $partitions := .Values.kafka.partitions -}}
{{- range $role := (include "indelible.roles" . | fromJson).roles -}}
{{- $of := index $.Values $role -}}
{{- $hpa := $of.autoscaling.hpa -}}
{{- $keda := default dict $of.autoscaling.keda -}}
{{- if and $hpa.enabled $keda.enabled -}}
{{- $faults = append $faults (printf "%s.autoscaling: hpa and keda would both set the replicas; enable one of them" $role) -}}
{{- end -}}
{{- if and $keda.enabled $.Values.kafka.sasl.mechanism (not $keda.authenticationRef) -}}
{{- $faults = append $faults (printf "%s.autoscaling.keda.authenticationRef: is missing; Kafka asks for a password, and KEDA has none" $role) -}}
{{- end -}}
{{- range $name, $scaler := dict "hpa" $hpa "keda" $keda -}}
{{- if and $scaler.enabled (gt (int $scaler.minReplicas) (int $scaler.maxReplicas)) -}}
{{- $faults = append $faults (printf "%s.autoscaling.%s: minReplicas %d is above maxReplicas %d" $role $name (int $scaler.minReplicas) (int $scaler.maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- if include "indelible.counts" $role -}}
{{- if not $partitions -}}
{{- $faults = append $faults "kafka.partitions: is missing; say how many partitions the topics have together" -}}
{{- else -}}
{{- $most := dict "replicas" $of.replicas -}}
{{- if $hpa.enabled }}{{ $most = dict "autoscaling.hpa.maxReplicas" $hpa.maxReplicas }}{{ end -}}
{{- if $keda.enabled }}{{ $most = dict "autoscaling.keda.maxReplicas" $keda.maxReplicas }}{{ end -}}
{{- range $name, $count := $most -}}
{{- if gt (int $count) (int $partitions) -}}
{{- $faults = append $faults (printf "%s.%s: %d is above kafka.partitions %d; a worker without a partition has nothing to do" $role $name (int $count) (int $partitions)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- dict "faults" $faults | toJson -}}
{{- end -}}

{{- define "indelible.checks.connections" -}}
{{- $faults := list -}}
{{- with .Values.kafka -}}
{{- if not .brokers -}}
{{- $faults = append $faults "kafka.brokers: is missing; host:port, separated by commas" -}}
{{- end -}}
{{- range $name, $_ := .properties -}}
{{- with get (dict "security.protocol" "kafka.tls.enabled and kafka.sasl.mechanism" "sasl.mechanism" "kafka.sasl.mechanism" "sasl.mechanisms" "kafka.sasl.mechanism" "sasl.username" "kafka.sasl.username") $name -}}
{{- $faults = append $faults (printf "kafka.properties: %s is set by %s" $name .) -}}
{{- end -}}
{{- if regexMatch "password|secret|\\.pem$|oauthbearer\\.config|\\.jaas\\." $name -}}
{{- $faults = append $faults (printf "kafka.properties: %s is a secret; put it into a Secret and name that in kafka.existingSecret" $name) -}}
{{- end -}}
{{- end -}}
{{- if and .sasl.mechanism (not .sasl.existingSecret) -}}
{{- $faults = append $faults "kafka.sasl.existingSecret: is missing; the password comes from a Secret" -}}
{{- end -}}
{{- if and .sasl.mechanism (not (or .sasl.username .sasl.usernameKey)) -}}
{{- $faults = append $faults "kafka.sasl: neither username nor usernameKey is given" -}}
{{- end -}}
{{- if and (not .sasl.mechanism) .sasl.existingSecret -}}
{{- $faults = append $faults "kafka.sasl.mechanism: is missing; SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN" -}}
{{- end -}}
{{- if and .tls.existingSecret (not .tls.enabled) -}}
{{- $faults = append $faults "kafka.tls.existingSecret: is given and kafka.tls.enabled is false" -}}
{{- end -}}
{{- if ne (empty .tls.certKey) (empty .tls.keyKey) -}}
{{- $faults = append $faults "kafka.tls: certKey and keyKey go together" -}}
{{- end -}}
{{- end -}}
{{- with .Values.redis -}}
{{- if and .url .existingSecret -}}
{{- $faults = append $faults "redis: url and existingSecret are both given; which is it?" -}}
{{- end -}}
{{- if not (or .url .existingSecret) -}}
{{- $faults = append $faults "redis: neither url nor existingSecret is given" -}}
{{- end -}}
{{- if contains "@" .url -}}
{{- $faults = append $faults "redis.url: holds a user or password; put the URL into a Secret and name that in redis.existingSecret" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.notices.webhook.existingSecret (not .Values.notices.topic) -}}
{{- $faults = append $faults "notices.webhook: needs notices.topic; what the webhook does not take goes to <topic>.dlq" -}}
{{- end -}}
{{- dict "faults" $faults | toJson -}}
{{- end -}}

{{- define "indelible.checks.auth" -}}
{{- $faults := list -}}
{{- with .Values.auth -}}
{{- $keys := .apiKeys.existingSecret -}}
{{- $jwt := or .jwt.jwksUrl .jwt.existingSecret -}}
{{- if and .disabled (or $keys $jwt) -}}
{{- $faults = append $faults "auth.disabled: is true and credentials are given; nobody would be asked for them" -}}
{{- end -}}
{{- if and (not .disabled) (not (or $keys $jwt)) (or $.Values.api.enabled $.Values.all.enabled) -}}
{{- $faults = append $faults "auth: give auth.apiKeys.existingSecret or auth.jwt, or set auth.disabled=true and let whoever reaches the API read every tenant" -}}
{{- end -}}
{{- if and .jwt.jwksUrl .jwt.existingSecret -}}
{{- $faults = append $faults "auth.jwt: jwksUrl and existingSecret are both given; which is it?" -}}
{{- end -}}
{{- if and .jwt.existingSecret (eq (empty .jwt.jwksKey) (empty .jwt.pemKey)) -}}
{{- $faults = append $faults "auth.jwt.existingSecret: needs one of jwksKey and pemKey" -}}
{{- end -}}
{{- if and $jwt (not (and .jwt.issuer .jwt.audience)) -}}
{{- $faults = append $faults "auth.jwt: needs issuer and audience, or tokens that were made for another service would be taken" -}}
{{- end -}}
{{- end -}}
{{- dict "faults" $faults | toJson -}}
{{- end -}}

{{- define "indelible.checks.running" -}}
{{- $faults := list -}}
{{- with .Values.shutdown -}}
{{- $least := add .drainTimeoutSeconds .preStopSeconds 10 -}}
{{- if lt (int .terminationGracePeriodSeconds) (int $least) -}}
{{- $faults = append $faults (printf "shutdown.terminationGracePeriodSeconds: %d is below drainTimeoutSeconds and preStopSeconds and 10 more, %d; pods would be killed while they drain" (int .terminationGracePeriodSeconds) (int $least)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.monitoring -}}
{{- if and .serviceMonitor.enabled .podMonitor.enabled -}}
{{- $faults = append $faults "monitoring: serviceMonitor and podMonitor would scrape every pod twice; enable one of them" -}}
{{- end -}}
{{- if and (or .serviceMonitor.enabled .podMonitor.enabled) $.Values.networkPolicy.enabled (not $.Values.networkPolicy.ops.from) -}}
{{- $faults = append $faults "networkPolicy.ops.from: is empty, so Prometheus would not reach the pods; say where it runs" -}}
{{- end -}}
{{- end -}}
{{- dict "faults" $faults | toJson -}}
{{- end -}}

{{/* A setting in two places would be whatever the later one says. */}}
{{- define "indelible.checks.config" -}}
{{- $faults := list -}}
{{- $set := dict
      "INDELIBLE_KAFKA_BROKERS" "kafka.brokers"
      "INDELIBLE_KAFKA_TOPICS" "kafka.topics"
      "INDELIBLE_KAFKA_GROUP" "kafka.group"
      "INDELIBLE_KAFKA_PROPERTIES" "kafka.properties"
      "INDELIBLE_DLQ_TOPIC" "kafka.dlqTopic"
      "INDELIBLE_RATED_TOPIC" "kafka.ratedTopic"
      "INDELIBLE_REDIS_URL" "redis.url or redis.existingSecret"
      "INDELIBLE_NAMESPACE" "redis.namespace"
      "INDELIBLE_LISTEN" "bindAddress"
      "INDELIBLE_OPS_LISTEN" "bindAddress"
      "INDELIBLE_ROLE" "worker.enabled, api.enabled and all.enabled"
      "INDELIBLE_MAX_FUTURE" "counting.maxFuture"
      "INDELIBLE_MAX_AGE" "counting.maxAge"
      "INDELIBLE_DEDUPE_WINDOW" "counting.dedupeWindow"
      "INDELIBLE_TENANT_USERS" "counting.tenantUsers"
      "INDELIBLE_QUOTA_TOKENS" "quota.tokens"
      "INDELIBLE_PRICES" "prices"
      "INDELIBLE_PLANS" "plans"
      "INDELIBLE_NOTICE_TOPIC" "notices.topic"
      "INDELIBLE_NOTICE_WEBHOOK" "notices.webhook"
      "INDELIBLE_NOTICE_WEBHOOK_SECRET" "notices.webhook"
      "INDELIBLE_DRAIN_TIMEOUT" "shutdown.drainTimeoutSeconds"
      "INDELIBLE_LOG_FORMAT" "log.format"
      "INDELIBLE_AUTH" "auth.disabled"
      "INDELIBLE_API_KEYS" "auth.apiKeys"
      "INDELIBLE_JWT_JWKS" "auth.jwt"
      "INDELIBLE_JWT_PEM" "auth.jwt"
      "INDELIBLE_JWT_ISSUER" "auth.jwt.issuer"
      "INDELIBLE_JWT_AUDIENCE" "auth.jwt.audience" -}}
{{- range $name, $_ := .Values.config -}}
{{- with get $set $name -}}
{{- $faults = append $faults (printf "config: %s is set by %s" $name .) -}}
{{- end -}}
{{- end -}}
{{- dict "faults" $faults | toJson -}}
{{- end -}}
