{{/* What Kubernetes asks of the Pods' fields that values set. */}}
{{- define "rejob.validate.pod" -}}
{{- $v := .Values -}}
{{- if and (eq $v.dnsPolicy "None") (not $v.dnsConfig.nameservers) -}}
{{- fail "dnsPolicy is None, but dnsConfig.nameservers is empty: name at least one server, or choose another policy" -}}
{{- end -}}
{{- include "rejob.validate.user" . -}}
{{- include "rejob.validate.profiles" . -}}
{{- include "rejob.validate.volumes" . -}}
{{- end }}

{{- define "rejob.validate.user" -}}
{{- $effective := merge dict .Values.securityContext .Values.podSecurityContext -}}
{{- if and $effective.runAsNonRoot (hasKey $effective "runAsUser") (eq (int64 $effective.runAsUser) 0) -}}
{{- fail "the security context has runAsNonRoot: true and runAsUser: 0, which is root, so no Pod would start: set another user" -}}
{{- end -}}
{{- $capabilities := default dict .Values.securityContext.capabilities -}}
{{- if and (hasKey .Values.securityContext "allowPrivilegeEscalation") (not .Values.securityContext.allowPrivilegeEscalation) -}}
{{- range list "SYS_ADMIN" "CAP_SYS_ADMIN" -}}
{{- if has . (default list $capabilities.add) -}}
{{- fail (printf "securityContext.capabilities.add has %s, which does not go with allowPrivilegeEscalation: false: remove it, since rejob needs no capability" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "rejob.validate.profiles" -}}
{{- range $context := list "podSecurityContext" "securityContext" -}}
{{- range $kind := list "seccompProfile" "appArmorProfile" -}}
{{- with get (get $.Values $context) $kind -}}
{{- if and (eq .type "Localhost") (not .localhostProfile) -}}
{{- fail (printf "%s.%s has the type Localhost and no localhostProfile: name the profile of the node" $context $kind) -}}
{{- end -}}
{{- if and (ne .type "Localhost") .localhostProfile -}}
{{- fail (printf "%s.%s has a localhostProfile and the type %s: set the type to Localhost, or remove the profile" $context $kind .type) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "rejob.validate.volumes" -}}
{{- $own := list "policies" "tls" "client-ca" -}}
{{- $names := list -}}
{{- range .Values.extraVolumes -}}
{{- if or (has .name $names) (has .name $own) -}}
{{- fail (printf "extraVolumes has the name %s twice, or it is one of the chart's own: choose another name" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- $paths := list -}}
{{- range .Values.extraVolumeMounts -}}
{{- if not (has .name $names) -}}
{{- fail (printf "extraVolumeMounts mounts %s, which is not in extraVolumes: add the volume" .name) -}}
{{- end -}}
{{- if hasPrefix "/etc/rejob" .mountPath -}}
{{- fail (printf "extraVolumeMounts has the path %s, and /etc/rejob is the chart's own: choose another path" .mountPath) -}}
{{- end -}}
{{- if has .mountPath $paths -}}
{{- fail (printf "extraVolumeMounts has the path %s twice: keep one of them" .mountPath) -}}
{{- end -}}
{{- $paths = append $paths .mountPath -}}
{{- end -}}
{{- end }}
