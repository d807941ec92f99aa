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
matchPolicy: Equivalent
timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
{{- end }}

{{- /* Ignore or Fail, for the webhook of pods. It may fail open only where a
       MutatingAdmissionPolicy strips forged annotations while the webhook is away. */}}
{{- define "spiderpool.podFailurePolicy" -}}
{{- $strips := include "spiderpool.stripsByPolicy" . -}}
{{- $policy := .Values.webhook.failurePolicy | default (ternary "Ignore" "Fail" (eq $strips "true")) -}}
{{- if not (has $policy (list "Ignore" "Fail")) }}
{{- fail (printf "webhook.failurePolicy: %q: want Ignore, Fail, or nothing for what suits the version of Kubernetes" $policy) }}
{{- end }}
{{- if and (eq $policy "Ignore") (ne $strips "true") }}
{{- fail (printf "webhook.failurePolicy: Ignore wants Kubernetes 1.36 or newer, this is %s: before, nothing would strip forged addresses from pods while the controller does not answer. Leave it empty" .Capabilities.KubeVersion.Version) }}
{{- end }}
{{- $policy }}
{{- end }}

{{- /* "true" where the API server has MutatingAdmissionPolicy v1, that is from 1.36 on. */}}
{{- define "spiderpool.stripsByPolicy" -}}
{{- semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version }}
{{- end }}

{{- /* Namespaces whose pods do not go through the webhook, as a JSON list. */}}
{{- define "spiderpool.sparedNamespaces" -}}
{{- $needed := list -}}
{{- if eq (include "spiderpool.podFailurePolicy" .) "Fail" }}
{{- $needed = list "kube-system" "cert-manager" .Release.Namespace }}
{{- end }}
{{- concat $needed (.Values.webhook.sparedNamespaces | default list) | uniq | toJson }}
{{- end }}

{{- /* The API groups of config.stableIdentityKinds, as a JSON list. */}}
{{- define "spiderpool.identityGroups" -}}
{{- $groups := list -}}
{{- range .Values.config.stableIdentityKinds }}
{{- if not .group }}
{{- fail (printf "config.stableIdentityKinds: kind %q without a group: the controller would have to read all of Kubernetes' own group, secrets among it" (.kind | default "")) }}
{{- end }}
{{- $groups = append $groups .group }}
{{- end }}
{{- $groups | uniq | sortAlpha | toJson }}
{{- end }}
