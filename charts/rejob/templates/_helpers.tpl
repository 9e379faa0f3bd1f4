{{/* Name of the chart, cut to a label's length. */}}
{{- define "rejob.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimAll "-" -}}
{{- end }}

{{/* Name of all objects: the release's name when it already says rejob, else <release>-rejob. Cut so that every suffix fits 63. */}}
{{- define "rejob.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimAll "-" -}}
{{- else if contains (include "rejob.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimAll "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "rejob.name" .) | trunc 50 | trimAll "-" -}}
{{- end -}}
{{- end }}

{{/* Name of the webhook configuration. Webhooks are called in the order of these names, and rejob has to see what the client sent. */}}
{{- define "rejob.webhookConfiguration" -}}
{{- $name := include "rejob.fullname" . -}}
{{- printf "00-%s%s" (ternary "" "rejob-" (hasPrefix "rejob" $name)) $name -}}
{{- end }}

{{- define "rejob.serviceAccountName" -}}
{{- default (include "rejob.fullname" .) .Values.serviceAccount.name -}}
{{- end }}

{{/* The Secret with the serving certificate, in every certificates.mode. */}}
{{- define "rejob.certificateSecret" -}}
{{- $fullname := include "rejob.fullname" . -}}
{{- if eq .Values.certificates.mode "self" -}}
{{- default (printf "%s-tls" $fullname) .Values.certificates.self.secretName -}}
{{- else if eq .Values.certificates.mode "certManager" -}}
{{- printf "%s-tls" $fullname -}}
{{- else -}}
{{- .Values.certificates.provided.secretName -}}
{{- end -}}
{{- end }}

{{/* The Secret in which the server keeps the path token. */}}
{{- define "rejob.tokenSecret" -}}
{{- if eq .Values.certificates.mode "self" -}}
{{- include "rejob.certificateSecret" . -}}
{{- else -}}
{{- printf "%s-token" (include "rejob.fullname" .) -}}
{{- end -}}
{{- end }}

{{/* DNS names under which the API server reaches the Service. */}}
{{- define "rejob.serviceNames" -}}
{{- $host := printf "%s.%s.svc" (include "rejob.fullname" .) .Release.Namespace -}}
{{- list $host (printf "%s.cluster.local" $host) | toJson -}}
{{- end }}

{{/* Labels by which the Pods of a component are selected; argument: list of root and component. */}}
{{- define "rejob.selectorLabelsOf" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "rejob.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 | quote }}
{{- end }}

{{- define "rejob.selectorLabels" -}}
{{- include "rejob.selectorLabelsOf" (list . "webhook") -}}
{{- end }}

{{/*
All labels of an object; argument: list of root, component, and labels of this object alone. The chart's
own win over those, and those over commonLabels.
*/}}
{{- define "rejob.labelsOf" -}}
{{- $root := index . 0 -}}
{{- $own := include "rejob.selectorLabelsOf" . | fromYaml -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $own "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "rejob" -}}
{{- toYaml (merge $own (index . 2) $root.Values.commonLabels) -}}
{{- end }}

{{- define "rejob.labels" -}}
{{- include "rejob.labelsOf" (list . "webhook" dict) -}}
{{- end }}

{{/* A quantity of Kubernetes' as a plain number. */}}
{{- define "rejob.quantity" -}}
{{- $text := toString . -}}
{{- $suffix := regexFind "[A-Za-z]+$" $text -}}
{{- $factors := dict "" 1 "n" 1e-9 "u" 1e-6 "m" 0.001 "k" 1e3 "Ki" 1024 "M" 1e6 "Mi" 1048576 "G" 1e9 "Gi" 1073741824 "T" 1e12 "Ti" 1099511627776 "P" 1e15 "Pi" 1125899906842624 "E" 1e18 "Ei" 1152921504606846976 -}}
{{- mulf (trimSuffix $suffix $text | float64) (get $factors $suffix) | printf "%.12f" -}}
{{- end }}

{{/* The seconds of a duration in hours, minutes and seconds. */}}
{{- define "rejob.seconds" -}}
{{- $seconds := 0 -}}
{{- range regexFindAll "[0-9]+[hms]" . -1 -}}
{{- $unit := regexFind "[hms]$" . -}}
{{- $seconds = add $seconds (mul (trimSuffix $unit . | int64) (get (dict "h" 3600 "m" 60 "s" 1) $unit)) -}}
{{- end -}}
{{- $seconds -}}
{{- end }}

{{/* The milliseconds of a duration of Prometheus' in one unit. */}}
{{- define "rejob.milliseconds" -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- mul (trimSuffix $unit . | int64) (get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) $unit) -}}
{{- end }}

{{/* A duration as cert-manager writes it back, so that no tool sees a difference: 2160h0m0s. */}}
{{- define "rejob.duration" -}}
{{- $seconds := include "rejob.seconds" . | int64 -}}
{{- if ge $seconds 3600 }}{{ div $seconds 3600 }}h{{ end }}{{ mod (div $seconds 60) 60 }}m{{ mod $seconds 60 }}s
{{- end }}

{{/* "true" when some policy has that onChange; argument: list of root and the value. */}}
{{- define "rejob.hasOnChange" -}}
{{- $wanted := index . 1 -}}
{{- range $name, $policy := (index . 0).Values.policies -}}
{{- if eq (default "Replace" $policy.onChange) $wanted }}true{{ end -}}
{{- end -}}
{{- end }}

{{/* "true" when some policy replaces, so that the server deletes and creates Jobs. */}}
{{- define "rejob.replaces" -}}
{{- include "rejob.hasOnChange" (list . "Replace") -}}
{{- end }}

{{/* "true" when some policy replaces or reports, so that the server needs rights in the cluster. */}}
{{- define "rejob.checks" -}}
{{- if or (include "rejob.replaces" .) (include "rejob.hasOnChange" (list . "Report")) }}true{{ end -}}
{{- end }}

{{/* The policies that answer for rejob.dev/rerun: a list. One that reports refuses nothing, and stores the value. */}}
{{- define "rejob.rerunPolicies" -}}
{{- $names := list -}}
{{- range $name, $policy := .Values.policies -}}
{{- if ne (default "Replace" $policy.onChange) "Report" -}}
{{- $names = append $names $name -}}
{{- end -}}
{{- end -}}
{{- toJson $names -}}
{{- end }}

{{/* What happens where rejob is not reached, which must be nothing for a policy that reports; argument: list of root and policy. */}}
{{- define "rejob.failurePolicy" -}}
{{- ternary "Ignore" (index . 0).Values.webhook.failurePolicy (eq (default "Replace" (index . 1).onChange) "Report") -}}
{{- end }}

{{/* "true" when the server keeps a token in the path. */}}
{{- define "rejob.pathToken" -}}
{{- if or .Values.webhook.pathToken (eq .Values.certificates.mode "self") }}true{{ end -}}
{{- end }}

{{/* "true" when the server calls the API at all. */}}
{{- define "rejob.needsAPI" -}}
{{- if or (include "rejob.checks" .) (include "rejob.pathToken" .) }}true{{ end -}}
{{- end }}

{{/* The user that rejob's own requests carry. */}}
{{- define "rejob.ownUser" -}}
{{- printf "system:serviceaccount:%s:%s" .Release.Namespace (include "rejob.serviceAccountName" .) -}}
{{- end }}

{{/* Namespaces in which rejob never does anything: a list. */}}
{{- define "rejob.neverServed" -}}
{{- concat (list "kube-system" .Release.Namespace) .Values.webhook.excludedNamespaces | uniq | toJson -}}
{{- end }}

{{/* Name of the ValidatingAdmissionPolicy on rejob's own account, and of its binding. */}}
{{- define "rejob.selfGuard" -}}
self-guard.{{ include "rejob.fullname" . }}.rejob.dev
{{- end }}

{{/*
"true" when the NetworkPolicy says who reaches the webhook port: none of the peers is every address, or every Pod.
Networks ignore it for Pods with hostNetwork.
*/}}
{{- define "rejob.namesCallers" -}}
{{- $from := .Values.networkPolicy.webhookFrom -}}
{{- $open := or .Values.hostNetwork (not .Values.networkPolicy.enabled) (not $from) -}}
{{- range $peer := $from -}}
{{- $everyPod := hasKey $peer "namespaceSelector" -}}
{{- range list "namespaceSelector" "podSelector" -}}
{{- if or (dig . "matchLabels" dict $peer) (dig . "matchExpressions" list $peer) -}}
{{- $everyPod = false -}}
{{- end -}}
{{- end -}}
{{- if or $everyPod (hasSuffix "/0" (dig "ipBlock" "cidr" "" $peer)) -}}
{{- $open = true -}}
{{- end -}}
{{- end -}}
{{- if not $open }}true{{ end -}}
{{- end }}

{{/* Requirements on every namespace in which rejob is called at all: a list. */}}
{{- define "rejob.namespaces" -}}
- key: kubernetes.io/metadata.name
  operator: NotIn
  values: {{ include "rejob.neverServed" . }}
{{- with .Values.rbac.namespaces }}
- key: kubernetes.io/metadata.name
  operator: In
  values: {{ toJson . }}
{{- end }}
{{- with .Values.webhook.namespaceMatchExpressions }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Requirements on a namespace of these policies; argument: list of root and the policies' names. */}}
{{- define "rejob.namespaceSelector" -}}
matchExpressions:
  - key: rejob.dev/policy
    operator: In
    values: {{ index . 1 | toJson }}
  {{- include "rejob.namespaces" (index . 0) | nindent 2 }}
{{- end }}

{{/* What all entries of the webhook configuration have in common; argument: list of root, the last segment of the path, and the operations. */}}
{{- define "rejob.webhook" -}}
{{- $root := index . 0 -}}
{{- $path := printf "/v1/policies/%s" (index . 1) -}}
admissionReviewVersions: [v1]
clientConfig:
  {{- if $root.Values.webhook.url }}
  url: {{ printf "%s%s" (trimSuffix "/" $root.Values.webhook.url) $path | quote }}
  {{- else }}
  service:
    name: {{ include "rejob.fullname" $root | quote }}
    namespace: {{ $root.Release.Namespace | quote }}
    port: 443
    {{- if not (include "rejob.pathToken" $root) }}
    path: {{ $path }}
    {{- end }}
  {{- end }}
matchPolicy: Equivalent
sideEffects: NoneOnDryRun
timeoutSeconds: {{ int $root.Values.webhook.timeoutSeconds }}
rules:
  - apiGroups: [batch]
    apiVersions: [v1]
    operations: [{{ join ", " (index . 2) }}]
    resources: [jobs]
    scope: Namespaced
{{- end }}

{{/* What a ValidatingAdmissionPolicy that refuses looks at; argument: list of the operations and the resources. */}}
{{- define "rejob.refusal" -}}
failurePolicy: Fail
matchConstraints:
  matchPolicy: Equivalent
  resourceRules:
    - apiGroups: [batch]
      apiVersions: [v1]
      operations: [{{ join ", " (index . 0) }}]
      resources: [{{ join ", " (index . 1) }}]
      scope: Namespaced
{{- end }}

{{/* Its binding, which matchResources may follow; argument: list of root and the policy's name. */}}
{{- define "rejob.refusalBinding" }}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ index . 1 }}
  labels:
    {{- include "rejob.labels" (index . 0) | nindent 4 }}
spec:
  policyName: {{ index . 1 }}
  validationActions: [Deny]
{{- end }}
