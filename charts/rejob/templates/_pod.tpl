{{/* What all Pods of the chart have in common: the webhook's and the one of `helm test`. */}}

{{/* The image; a global registry replaces the host in the repository, where it has one. */}}
{{- define "rejob.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with .Values.global.imageRegistry -}}
{{- $parts := splitList "/" $repository -}}
{{- if and (gt (len $parts) 1) (regexMatch "[.:]|^localhost$" (first $parts)) -}}
{{- $repository = join "/" (rest $parts) -}}
{{- end -}}
{{- $repository = printf "%s/%s" . $repository -}}
{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end }}

{{/* The fields of a Pod that say where it runs, how it gets its image and how it resolves names. */}}
{{- define "rejob.pod" -}}
{{- $secrets := .Values.imagePullSecrets -}}
enableServiceLinks: false
{{- range .Values.global.imagePullSecrets -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with uniq $secrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $field, $value := pick .Values "hostAliases" "dnsConfig" "nodeSelector" "tolerations" }}
{{- with $value }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- range $field, $value := pick .Values "runtimeClassName" "schedulerName" }}
{{- with $value }}
{{ $field }}: {{ . | quote }}
{{- end }}
{{- end }}
{{- with default (ternary "ClusterFirstWithHostNet" "" .Values.hostNetwork) .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- end }}
