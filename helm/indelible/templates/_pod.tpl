{{/*
The pod of a role. Its security is the restricted profile, and no value loosens it: the program writes no file, needs
no right on the node and never asks the cluster's API.
*/}}
{{- define "indelible.pod" -}}
{{- $role := .role -}}
{{- $root := .root -}}
{{- $of := index .root.Values .role -}}
{{- with .root.Values -}}
metadata:
  labels:
    {{- include "indelible.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ $role }}
    {{- with $of.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: indelible
    {{- if or .prices .plans }}
    # The files are read at the start, so a change of them must start the pods anew.
    checksum/policy: {{ printf "%s\n%s" .prices .plans | sha256sum }}
    {{- end }}
    {{- with $of.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "indelible.serviceAccountName" $root }}
  automountServiceAccountToken: false
  # What Kubernetes makes of the names of Services (INDELIBLE_…_PORT) are no settings of ours.
  enableServiceLinks: false
  {{- with .imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $of.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    {{- include "indelible.podSecurityContext" $root | nindent 4 }}
  terminationGracePeriodSeconds: {{ .shutdown.terminationGracePeriodSeconds }}
  containers:
    - name: indelible
      image: {{ include "indelible.image" $root | quote }}
      imagePullPolicy: {{ .image.pullPolicy }}
      args: [serve]
      securityContext:
        {{- include "indelible.securityContext" $root | nindent 8 }}
      env:
        {{- include "indelible.env" (dict "root" $root "role" $role) | trim | nindent 8 }}
      ports:
        - name: ops
          containerPort: 9090
        {{- if include "indelible.answers" $role }}
        - name: http
          containerPort: 8080
        {{- end }}
      {{- /* None of these but readiness looks at Kafka or Redis: a restart would not bring them back. */}}
      startupProbe:
        httpGet: {path: /livez, port: ops}
        {{- toYaml .probes.startup | nindent 8 }}
      livenessProbe:
        httpGet: {path: /livez, port: ops}
        {{- toYaml .probes.liveness | nindent 8 }}
      readinessProbe:
        httpGet: {path: /readyz, port: ops}
        {{- toYaml .probes.readiness | nindent 8 }}
      {{- if and (include "indelible.answers" $role) .shutdown.preStopSeconds }}
      lifecycle:
        preStop:
          sleep:
            seconds: {{ .shutdown.preStopSeconds }}
      {{- end }}
      resources:
        {{- toYaml $of.resources | nindent 8 }}
      {{- with include "indelible.volumeMounts" (dict "root" $root "role" $role) }}
      volumeMounts:
        {{- . | trim | nindent 8 }}
      {{- end }}
  {{- with include "indelible.volumes" (dict "root" $root "role" $role) }}
  volumes:
    {{- . | trim | nindent 4 }}
  {{- end }}
  {{- if .topologySpread.enabled }}
  topologySpreadConstraints:
    {{- range .topologySpread.topologyKeys }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: {{ $root.Values.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "indelible.selectorLabels" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $role }}
      # The pods of one revision are spread, whatever is left of the one before.
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
  {{- with $of.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $of.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $of.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "indelible.podSecurityContext" -}}
runAsNonRoot: true
{{- range $name, $id := .Values.podSecurity }}
{{- if not (kindIs "invalid" $id) }}
{{ $name }}: {{ int64 $id }}
{{- end }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "indelible.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Files that a role reads: name, where, and of which secret or config map. As JSON, {"files": […]}. */}}
{{- define "indelible.files" -}}
{{- $role := .role -}}
{{- $files := list -}}
{{- with .root.Values -}}
{{- if or .prices .plans -}}
{{- $policy := printf "%s-policy" (include "indelible.fullname" $.root) -}}
{{- $files = append $files (dict "name" "policy" "source" (dict "configMap" (dict "name" $policy))) -}}
{{- end -}}
{{- if and .kafka.tls.enabled .kafka.tls.existingSecret -}}
{{- $files = append $files (dict "name" "kafka-tls" "source" (dict "secret" (dict "secretName" .kafka.tls.existingSecret))) -}}
{{- end -}}
{{- with .redis.tls.existingSecret -}}
{{- $files = append $files (dict "name" "redis-tls" "source" (dict "secret" (dict "secretName" .))) -}}
{{- end -}}
{{- if include "indelible.answers" $role -}}
{{- with .auth.apiKeys.existingSecret -}}
{{- $files = append $files (dict "name" "api-keys" "source" (dict "secret" (dict "secretName" .))) -}}
{{- end -}}
{{- with .auth.jwt.existingSecret -}}
{{- $files = append $files (dict "name" "jwt" "source" (dict "secret" (dict "secretName" .))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- dict "files" $files | toJson -}}
{{- end -}}

{{- define "indelible.volumes" -}}
{{- range (include "indelible.files" . | fromJson).files }}
- name: {{ .name }}
  {{- toYaml .source | nindent 2 }}
{{- end }}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "indelible.volumeMounts" -}}
{{- range (include "indelible.files" . | fromJson).files }}
- name: {{ .name }}
  mountPath: /etc/indelible/{{ .name }}
  readOnly: true
{{- end }}
{{- with .root.Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}
