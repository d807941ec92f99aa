{{- /* CEL: whether annotation k is one that only the controller writes. */}}
{{- define "spiderpool.isClaim" -}}
(k == "ipam.spidernet.io/reservation" || k == "ipam.spidernet.io/ended" || k.startsWith("ipam.spidernet.io/assigned-"))
{{- end }}

{{- /*
How many annotations a pod may have. CEL in the API server takes a time that grows
with the square of their number: 8 ms for 2,000, but 10 s for the 60,000 for which
there is room in a pod, and whoever makes pods could keep the API server busy.
*/}}
{{- define "spiderpool.mostAnnotations" -}}
2000
{{- end }}

{{- /* The longest termination grace, in seconds, that the controller counts. */}}
{{- define "spiderpool.longestGrace" -}}
86400
{{- end }}

{{- /* CEL: the claims among the annotations of an object. */}}
{{- define "spiderpool.claimsOfObject" -}}
object.metadata.?annotations.orValue({}).size() > {{ include "spiderpool.mostAnnotations" . }} ? []
: object.metadata.?annotations.orValue({}).filter(k, {{ include "spiderpool.isClaim" . }})
{{- end }}

{{- /* A validation: an object has not more annotations than can be looked through. */}}
{{- define "spiderpool.fewAnnotations" -}}
- expression: object.metadata.?annotations.orValue({}).size() <= {{ include "spiderpool.mostAnnotations" . }}
  message: more than {{ include "spiderpool.mostAnnotations" . }} annotations, which Spiderpool cannot look through for forged ones; have fewer
{{- end }}

{{- /* The service account of the controller, as the API server knows it. */}}
{{- define "spiderpool.controllerUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:spiderpool-controller
{{- end }}

{{- /* The binding of a ValidatingAdmissionPolicy: list of root and name. */}}
{{- define "spiderpool.denies" -}}
{{- $root := index . 0 -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ index . 1 }}
  labels:
    {{- include "spiderpool.labels" $root | nindent 4 }}
spec:
  policyName: {{ index . 1 }}
  validationActions: [Deny]
{{- end }}

{{- /*
CEL variables about a pod's status: list of prefix of their names and of the pod
that they are about. What they call finished is what the controller calls so.
*/}}
{{- define "spiderpool.podEndVariables" -}}
{{- $p := index . 0 -}}
{{- $status := printf "%s.status" (index . 1) -}}
- name: {{ $p }}Containers
  expression: {{ $status }}.?containerStatuses.orValue([])
- name: {{ $p }}Running
  expression: >-
    (variables.{{ $p }}Containers + {{ $status }}.?initContainerStatuses.orValue([])
    + {{ $status }}.?ephemeralContainerStatuses.orValue([])).filter(s, has(s.state) && has(s.state.running)).map(s, s.name)
- name: {{ $p }}Finished
  expression: >-
    {{ $status }}.?phase.orValue("") in ["Succeeded", "Failed"] && variables.{{ $p }}Running.size() == 0
    && !(variables.onNode && {{ $status }}.?conditions.orValue([]).exists(c,
    c.type == "DisruptionTarget" && c.status == "True" && c.?reason.orValue("") == "DeletionByPodGC")
    && variables.{{ $p }}Containers.filter(s, has(s.state) && has(s.state.terminated)).size() < object.spec.containers.size())
{{- end }}
