{{- define "indelible.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/*
A Service's name: no dots, though a release's may have some, and room within 63 characters for what is added to it,
such as -worker-ops.
*/}}
{{- define "indelible.fullname" -}}
{{- $name := printf "%s-%s" .Release.Name (include "indelible.name" .) -}}
{{- if .Values.fullnameOverride -}}
{{- $name = .Values.fullnameOverride -}}
{{- else if contains (include "indelible.name" .) .Release.Name -}}
{{- $name = .Release.Name -}}
{{- end -}}
{{- $name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "indelible.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "indelible.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "indelible.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What never changes in the life of a release: a Deployment's selector can't. */}}
{{- define "indelible.selectorLabels" -}}
app.kubernetes.io/name: {{ include "indelible.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "indelible.labels" -}}
{{ include "indelible.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The scrape job, by which alerts and dashboard know the program: it must contain its name, and be of one release. */}}
{{- define "indelible.job" -}}
{{- $name := include "indelible.fullname" . -}}
{{- contains "indelible" $name | ternary $name (printf "indelible-%s" $name) -}}
{{- end -}}

{{/* The roles that are deployed, as JSON: {"roles": ["api", "worker"]}. */}}
{{- define "indelible.roles" -}}
{{- $roles := list -}}
{{- range $role := list "all" "api" "worker" -}}
{{- if (index $.Values $role).enabled }}{{ $roles = append $roles $role }}{{ end -}}
{{- end -}}
{{- dict "roles" $roles | toJson -}}
{{- end -}}

{{/* Whether a role counts, and whether it answers: empty is no. */}}
{{- define "indelible.counts" -}}{{ if ne . "api" }}yes{{ end }}{{- end -}}
{{- define "indelible.answers" -}}{{ if ne . "worker" }}yes{{ end }}{{- end -}}
