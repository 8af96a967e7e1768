{{/*
The settings of the program as a container's env. $(NAME) in a value stands for the variable NAME before it; so a
secret becomes a part of a setting and is in no manifest.
*/}}
{{- define "indelible.env" -}}
{{- $role := .role -}}
{{- with .root -}}
{{- include "indelible.env.kafka" . }}
{{ include "indelible.env.redis" . }}
{{- include "indelible.env.listen" (dict "root" . "role" $role) }}
{{- include "indelible.env.counting" . }}
{{- if include "indelible.counts" $role }}
{{- include "indelible.env.webhook" . }}
{{- end }}
{{- if include "indelible.answers" $role }}
{{- include "indelible.env.auth" . }}
{{- end }}
{{- range $name, $value := .Values.config }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A variable from a secret: list NAME SECRET KEY. */}}
{{- define "indelible.fromSecret" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
{{- end -}}

{{- define "indelible.env.kafka" -}}
{{- with .Values.kafka }}
{{- if .existingSecret }}
{{ include "indelible.fromSecret" (list "KAFKA_PROPERTIES" .existingSecret .propertiesKey) }}
{{- end }}
{{- if .sasl.mechanism }}
{{- if not .sasl.username }}
{{ include "indelible.fromSecret" (list "KAFKA_USERNAME" .sasl.existingSecret .sasl.usernameKey) }}
{{- end }}
{{ include "indelible.fromSecret" (list "KAFKA_PASSWORD" .sasl.existingSecret .sasl.passwordKey) }}
{{- end }}
- name: INDELIBLE_KAFKA_BROKERS
  value: {{ .brokers | quote }}
- name: INDELIBLE_KAFKA_TOPICS
  value: {{ join "," .topics | quote }}
- name: INDELIBLE_KAFKA_GROUP
  value: {{ .group | quote }}
{{- with include "indelible.kafkaProperties" . }}
- name: INDELIBLE_KAFKA_PROPERTIES
  value: {{ . | quote }}
{{- end }}
{{- with .dlqTopic }}
- name: INDELIBLE_DLQ_TOPIC
  value: {{ . | quote }}
{{- end }}
{{- with .ratedTopic }}
- name: INDELIBLE_RATED_TOPIC
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* As text that the program splits at commas: in a value they are escaped, and so is what Kubernetes would expand. */}}
{{- define "indelible.kafkaProperties" -}}
{{- $parts := list -}}
{{- if or .sasl.mechanism .tls.enabled -}}
{{- $protocol := ternary "SASL_SSL" (ternary "SASL_PLAINTEXT" "SSL" (not .tls.enabled)) (and (not (empty .sasl.mechanism)) .tls.enabled) -}}
{{- $parts = append $parts (printf "security.protocol=%s" $protocol) -}}
{{- end -}}
{{- with .sasl -}}
{{- if .mechanism -}}
{{- $parts = append $parts (printf "sasl.mechanism=%s" .mechanism) -}}
{{- $user := .username | replace "," "\\," | replace "$(" "$$(" | default "$(KAFKA_USERNAME)" -}}
{{- $parts = append $parts (printf "sasl.username=%s" $user) -}}
{{- $parts = append $parts "sasl.password=$(KAFKA_PASSWORD)" -}}
{{- end -}}
{{- end -}}
{{- with .tls -}}
{{- if and .enabled .existingSecret -}}
{{- if .caKey }}{{ $parts = append $parts (printf "ssl.ca.location=/etc/indelible/kafka-tls/%s" .caKey) }}{{ end -}}
{{- if .certKey -}}
{{- $parts = append $parts (printf "ssl.certificate.location=/etc/indelible/kafka-tls/%s" .certKey) -}}
{{- $parts = append $parts (printf "ssl.key.location=/etc/indelible/kafka-tls/%s" .keyKey) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name, $value := .properties -}}
{{- $parts = append $parts (printf "%s=%s" $name ($value | toString | replace "," "\\," | replace "$(" "$$(")) -}}
{{- end -}}
{{- if .existingSecret }}{{ $parts = append $parts "$(KAFKA_PROPERTIES)" }}{{ end -}}
{{- join "," $parts -}}
{{- end -}}

{{- define "indelible.env.redis" -}}
{{- with .Values.redis -}}
{{- if .existingSecret -}}
{{ include "indelible.fromSecret" (list "INDELIBLE_REDIS_URL" .existingSecret .urlKey) }}
{{- else -}}
- name: INDELIBLE_REDIS_URL
  value: {{ .url | quote }}
{{- end }}
- name: INDELIBLE_NAMESPACE
  value: {{ .namespace | quote }}
{{- if .tls.existingSecret }}
- name: SSL_CERT_FILE
  value: /etc/indelible/redis-tls/{{ .tls.caKey }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "indelible.env.listen" }}
- name: INDELIBLE_ROLE
  value: {{ .role }}
{{- with .root.Values }}
- name: INDELIBLE_OPS_LISTEN
  value: {{ printf "%s:9090" .bindAddress | quote }}
{{- if include "indelible.answers" $.role }}
- name: INDELIBLE_LISTEN
  value: {{ printf "%s:8080" .bindAddress | quote }}
{{- end }}
- name: INDELIBLE_DRAIN_TIMEOUT
  value: {{ printf "%ds" (int .shutdown.drainTimeoutSeconds) }}
- name: INDELIBLE_LOG_FORMAT
  value: {{ .log.format }}
- name: RUST_LOG
  value: {{ .log.filter | quote }}
{{- end }}
{{- end -}}

{{- define "indelible.env.counting" }}
{{- with .Values }}
{{- $given := dict
      "INDELIBLE_MAX_FUTURE" .counting.maxFuture
      "INDELIBLE_MAX_AGE" .counting.maxAge
      "INDELIBLE_DEDUPE_WINDOW" .counting.dedupeWindow
      "INDELIBLE_NOTICE_TOPIC" .notices.topic
      "INDELIBLE_PRICES" (ternary "/etc/indelible/policy/prices.toml" "" (not (empty .prices)))
      "INDELIBLE_PLANS" (ternary "/etc/indelible/policy/plans.toml" "" (not (empty .plans))) }}
{{- /* Numbers of YAML come as floats: without int64 a million would be 1e+06. */}}
{{- if .counting.tenantUsers }}{{ $_ := set $given "INDELIBLE_TENANT_USERS" (int64 .counting.tenantUsers) }}{{ end }}
{{- if .quota.tokens }}{{ $_ := set $given "INDELIBLE_QUOTA_TOKENS" (int64 .quota.tokens) }}{{ end }}
{{- range $name, $value := $given }}
{{- if $value }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Only for those who send notices. */}}
{{- define "indelible.env.webhook" }}
{{- with .Values.notices.webhook }}
{{- if .existingSecret }}
{{ include "indelible.fromSecret" (list "INDELIBLE_NOTICE_WEBHOOK" .existingSecret .urlKey) }}
{{ include "indelible.fromSecret" (list "INDELIBLE_NOTICE_WEBHOOK_SECRET" .existingSecret .secretKey) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "indelible.env.auth" }}
{{- with .Values.auth }}
- name: INDELIBLE_AUTH
  value: {{ ternary "none" "required" .disabled }}
{{- if .apiKeys.existingSecret }}
- name: INDELIBLE_API_KEYS
  value: /etc/indelible/api-keys/{{ .apiKeys.key }}
{{- end }}
{{- with .jwt }}
{{- if .jwksUrl }}
- name: INDELIBLE_JWT_JWKS
  value: {{ .jwksUrl | quote }}
{{- else if .existingSecret }}
- name: {{ ternary "INDELIBLE_JWT_JWKS" "INDELIBLE_JWT_PEM" (not (empty .jwksKey)) }}
  value: /etc/indelible/jwt/{{ default .pemKey .jwksKey }}
{{- end }}
{{- if or .jwksUrl .existingSecret }}
- name: INDELIBLE_JWT_ISSUER
  value: {{ .issuer | quote }}
- name: INDELIBLE_JWT_AUDIENCE
  value: {{ .audience | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
