{{/* Combinations that cannot work, each with what to do. What concerns one value alone is in values.schema.json. */}}
{{- define "rejob.validate" -}}
{{- $v := .Values -}}
{{- if not $v.policies -}}
{{- fail "policies is empty: name at least one policy" -}}
{{- end -}}
{{- if and (eq $v.certificates.mode "provided") (not $v.certificates.provided.secretName) -}}
{{- fail "certificates.mode is provided, but certificates.provided.secretName is empty: name the Secret with tls.crt and tls.key (see certs/README.md)" -}}
{{- end -}}
{{- if and $v.webhook.url (eq $v.certificates.mode "self") -}}
{{- fail "webhook.url does not go with certificates.mode self, since the server writes its path into a Service reference: set certificates.mode to certManager or provided" -}}
{{- end -}}
{{- if eq (int $v.server.port) (int $v.server.adminPort) -}}
{{- fail (printf "server.port and server.adminPort are both %d: choose two different ports" (int $v.server.port)) -}}
{{- end -}}
{{- if and $v.hostNetwork (or (eq (int $v.server.port) 10250) (eq (int $v.server.adminPort) 10250)) -}}
{{- fail "hostNetwork does not go with port 10250, which the kubelet of the node holds: set server.port to another one, such as 9443" -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- fail (printf "autoscaling.minReplicas is %d and more than autoscaling.maxReplicas, %d: raise the one or lower the other" (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- if and (not $v.serviceAccount.create) (not $v.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false, but serviceAccount.name is empty: name an existing ServiceAccount, else every Pod of the namespace would get rejob's rights" -}}
{{- end -}}
{{- range $v.rbac.namespaces -}}
{{- if or (eq . "kube-system") (eq . $.Release.Namespace) (has . $v.webhook.excludedNamespaces) -}}
{{- fail (printf "rbac.namespaces lists %s, which can never opt in: take it out" .) -}}
{{- end -}}
{{- end -}}
{{- if and $v.nativeTTL.enabled (semverCompare "<1.36.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "nativeTTL.enabled needs Kubernetes 1.36 or later and this is %s: set it to false, the webhook then sets the TTL" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- $conditions := include "rejob.matchConditions" . | fromYamlArray -}}
{{- $allowed := ternary 62 64 $v.nativeTTL.enabled -}}
{{- if gt (len $conditions) $allowed -}}
{{- fail (printf "webhook.matchConditions makes %d conditions with the chart's own, and %d are allowed: join some with &&" (len $conditions) $allowed) -}}
{{- end -}}
{{- $names := list -}}
{{- range $conditions -}}
{{- if has .name $names -}}
{{- fail (printf "webhook.matchConditions has the name %s twice, or it is one of the chart's own: choose another name" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- end }}
