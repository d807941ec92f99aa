{{- define "spiderpool.labels" -}}
app.kubernetes.io/name: spiderpool
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* What the Service selects: the controller's pods. */}}
{{- define "spiderpool.controllerSelector" -}}
app.kubernetes.io/name: spiderpool
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end }}

{{- /* How the API server reaches one path of the controller: list of root and path. */}}
{{- define "spiderpool.clientConfig" -}}
{{- $root := index . 0 -}}
{{- $path := index . 1 -}}
{{- with $root.Values.webhook.caBundle }}
caBundle: {{ . }}
{{- end }}
{{- if $root.Values.controller.url }}
url: {{ printf "%s%s" (trimSuffix "/" $root.Values.controller.url) $path | quote }}
{{- else }}
service:
  namespace: {{ $root.Release.Namespace }}
  name: spiderpool-controller
  path: {{ $path }}
  port: 443
{{- end }}
{{- end }}

{{- /* Settings that all webhooks share. */}}
{{- define "spiderpool.webhookPolicy" -}}
admissionReviewVersions: [v1]
failurePolicy: {{ .Values.webhook.failurePolicy }}
matchPolicy: Equivalent
timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
{{- end }}
