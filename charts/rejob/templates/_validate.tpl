{{/*
Combinations that cannot work, each with what to do. What concerns one value alone is in
values.schema.json; lists that Kubernetes has rules for are in _validate_lists.tpl.
*/}}
{{- define "rejob.validate" -}}
{{- include "rejob.validate.names" . -}}
{{- include "rejob.validate.policies" . -}}
{{- include "rejob.validate.certificates" . -}}
{{- include "rejob.validate.callers" . -}}
{{- include "rejob.validate.ports" . -}}
{{- include "rejob.validate.scale" . -}}
{{- include "rejob.validate.metrics" . -}}
{{- include "rejob.validate.conditions" . -}}
{{- include "rejob.validate.lists" . -}}
{{- include "rejob.validate.pod" . -}}
{{- end }}

{{- define "rejob.validate.names" -}}
{{- $v := .Values -}}
{{- $name := include "rejob.fullname" . -}}
{{- if not (regexMatch "^[a-z][a-z0-9-]*$" $name) -}}
{{- fail (printf "the objects would be named %s, and the name of a Service begins with a letter and has no dot: set fullnameOverride" $name) -}}
{{- end -}}
{{- if and $v.flowSchema.enabled (has $name (list "exempt" "catch-all")) -}}
{{- fail (printf "the objects would be named %s, as a FlowSchema of Kubernetes' own is: set fullnameOverride to another name" $name) -}}
{{- end -}}
{{- if and (not $v.serviceAccount.create) (not $v.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false, but serviceAccount.name is empty: name an existing ServiceAccount, else every Pod of the namespace would get rejob's rights" -}}
{{- end -}}
{{- range $v.rbac.namespaces -}}
{{- if or (eq . "kube-system") (eq . $.Release.Namespace) (has . $v.webhook.excludedNamespaces) -}}
{{- fail (printf "rbac.namespaces lists %s, which can never opt in: remove it" .) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "rejob.validate.policies" -}}
{{- $v := .Values -}}
{{- if not $v.policies -}}
{{- fail "policies is empty: name at least one policy" -}}
{{- end -}}
{{- range list "dormant" "rerun" -}}
{{- if hasKey $v.policies . -}}
{{- fail (printf "policies.%s has the name of a webhook entry of rejob's own: choose another" .) -}}
{{- end -}}
{{- end -}}
{{- if and $v.nativeTTL.enabled (semverCompare "<1.36.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "nativeTTL.enabled needs Kubernetes 1.36 or later and this is %s: set it to false, the webhook then sets the TTL" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if and $v.checks.asUser (semverCompare "<1.36.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "checks.asUser needs Kubernetes 1.36 or later and this is %s: set it to false, rejob then asks for the user's rights" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if and $v.checks.asUser (not (include "rejob.replaces" .)) -}}
{{- fail "checks.asUser is true, but no policy replaces: it would give rejob the right to act for users for real, and a report needs no such right, so set it to false" -}}
{{- end -}}
{{- end }}

{{- define "rejob.validate.certificates" -}}
{{- $v := .Values -}}
{{- $mode := $v.certificates.mode -}}
{{- if and (eq $mode "provided") (not $v.certificates.provided.secretName) -}}
{{- fail "certificates.mode is provided, but certificates.provided.secretName is empty: name the Secret with tls.crt and tls.key (see certs/README.md)" -}}
{{- end -}}
{{- if and $v.webhook.url (eq $mode "self") -}}
{{- fail "webhook.url does not go with certificates.mode self, since the server writes its path into a Service reference: set certificates.mode to certManager or provided" -}}
{{- end -}}
{{- if eq $mode "certManager" -}}
{{- $c := $v.certificates.certManager -}}
{{- $duration := include "rejob.seconds" $c.duration | int64 -}}
{{- $renewBefore := include "rejob.seconds" $c.renewBefore | int64 -}}
{{- if lt $duration 3600 -}}
{{- fail (printf "certificates.certManager.duration is %s, and cert-manager makes no certificate for less than 1h: raise it" $c.duration) -}}
{{- end -}}
{{- if lt $renewBefore 300 -}}
{{- fail (printf "certificates.certManager.renewBefore is %s, and cert-manager wants at least 5m: raise it" $c.renewBefore) -}}
{{- end -}}
{{- if le $duration $renewBefore -}}
{{- fail (printf "certificates.certManager.renewBefore is %s and not less than duration, %s: lower the one or raise the other" $c.renewBefore $c.duration) -}}
{{- end -}}
{{- with $v.webhook.url -}}
{{- $host := regexReplaceAll ":[0-9]+$" (trimPrefix "https://" .) "" -}}
{{- if regexMatch "^(\\[.*\\]|[0-9]+([.][0-9]+){3})$" $host -}}
{{- fail (printf "webhook.url names the address %s, and the certificate that cert-manager makes carries names only: use a host name, or set certificates.mode to provided" $host) -}}
{{- end -}}
{{- $wildcard := regexReplaceAll "^[^.]+" $host "*" -}}
{{- $names := concat (include "rejob.serviceNames" $ | fromJsonArray) $c.extraDnsNames -}}
{{- if not (or (has $host $names) (has $wildcard $names)) -}}
{{- fail (printf "webhook.url names the host %s, which is not in the certificate: add it to certificates.certManager.extraDnsNames" $host) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The API server does not identify itself by default: something must keep others from sending requests. */}}
{{- define "rejob.validate.callers" -}}
{{- $v := .Values -}}
{{- $clientCA := $v.certificates.clientCA -}}
{{- if and $clientCA.configMapName (not $clientCA.names) -}}
{{- fail "certificates.clientCA.names is empty, and a cluster's CA signs the certificates of kubelets and people too: list the names in the API server's client certificate" -}}
{{- end -}}
{{- if and $clientCA.names (not $clientCA.configMapName) -}}
{{- fail "certificates.clientCA.names is set, but certificates.clientCA.configMapName is empty: name the ConfigMap with the CA that signs the client certificates" -}}
{{- end -}}
{{- if and $v.webhook.url $v.webhook.pathToken -}}
{{- fail "webhook.pathToken does not go with webhook.url, since every tool that applies the release would write the URL without the token: set certificates.clientCA instead" -}}
{{- end -}}
{{- if not (or $clientCA.configMapName $v.webhook.acceptUnauthenticated) -}}
{{- if $v.webhook.url -}}
{{- fail "webhook.url is set, and anyone who reaches that address could send requests: set certificates.clientCA, or webhook.acceptUnauthenticated to true" -}}
{{- end -}}
{{- if not (or (include "rejob.pathToken" .) (include "rejob.namesCallers" .)) -}}
{{- $narrower := ternary " to less than everyone" "" (not (empty $v.networkPolicy.webhookFrom)) -}}
{{- $from := ternary "" (printf "networkPolicy.webhookFrom%s, " $narrower) (or $v.hostNetwork (not $v.networkPolicy.enabled)) -}}
{{- fail (printf "certificates.mode is %s, and anyone who reaches the webhook port could send requests: set webhook.pathToken to true, certificates.clientCA, %sor webhook.acceptUnauthenticated to true" $v.certificates.mode $from) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "rejob.validate.ports" -}}
{{- $server := .Values.server -}}
{{- $port := int $server.port -}}
{{- $adminPort := int $server.adminPort -}}
{{- if eq $port $adminPort -}}
{{- fail (printf "server.port and server.adminPort are both %d: choose two different ports" $port) -}}
{{- end -}}
{{- if eq $adminPort 443 -}}
{{- fail "server.adminPort is 443, the port of the webhook in the Service: choose another one, such as 8080" -}}
{{- end -}}
{{- if .Values.hostNetwork -}}
{{- if has 10250 (list $port $adminPort) -}}
{{- fail "hostNetwork does not go with port 10250, which the kubelet of the node holds: set server.port to another one, such as 9443" -}}
{{- end -}}
{{- if lt (min $port $adminPort) 1024 -}}
{{- fail (printf "hostNetwork does not go with port %d, since only root may listen below 1024 on a node: choose another one, such as 9443" (min $port $adminPort)) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "rejob.validate.scale" -}}
{{- $v := .Values -}}
{{- range $name, $limit := $v.resources.limits -}}
{{- $request := dig "requests" $name "0" $v.resources -}}
{{- if gt (include "rejob.quantity" $request | float64) (include "rejob.quantity" $limit | float64) -}}
{{- fail (printf "resources.requests.%s is %v and more than resources.limits.%s, %v: lower the one or raise the other" $name $request $name $limit) -}}
{{- end -}}
{{- end -}}
{{- if $v.autoscaling.enabled -}}
{{- if gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas) -}}
{{- fail (printf "autoscaling.minReplicas is %d and more than autoscaling.maxReplicas, %d: raise the one or lower the other" (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- /* Where there is only a limit, Kubernetes takes it as the request. */ -}}
{{- $limit := dig "limits" "cpu" "0" $v.resources -}}
{{- if le (include "rejob.quantity" (dig "requests" "cpu" $limit $v.resources) | float64) 0.0 -}}
{{- fail "autoscaling.enabled is true, but resources.requests.cpu is not set, of which the autoscaler keeps a share in use: set it" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "rejob.validate.metrics" -}}
{{- $monitor := .Values.metrics.serviceMonitor -}}
{{- if and $monitor.scrapeTimeout (gt (include "rejob.milliseconds" $monitor.scrapeTimeout | int64) (include "rejob.milliseconds" $monitor.interval | int64)) -}}
{{- fail (printf "metrics.serviceMonitor.scrapeTimeout is %s and longer than the interval, %s: lower the one or raise the other" $monitor.scrapeTimeout $monitor.interval) -}}
{{- end -}}
{{- end }}

{{- define "rejob.validate.conditions" -}}
{{- $conditions := include "rejob.matchConditions" . | fromYamlArray -}}
{{- /* Less those that one entry or policy has more: webhook.yaml, nativettl.yaml. */ -}}
{{- $allowed := ternary 61 (ternary 64 63 (empty (include "rejob.replaces" .))) .Values.nativeTTL.enabled -}}
{{- if gt (len $conditions) $allowed -}}
{{- fail (printf "webhook.matchConditions makes %d conditions with the chart's own, and %d are allowed: join some with &&" (len $conditions) $allowed) -}}
{{- end -}}
{{- $names := list "not-a-rerun" "rerun" "has-an-annotation-of-rejob" "has-no-ttl" "has-no-ttl-annotation" "not-of-a-gitops-tool" -}}
{{- range $conditions -}}
{{- if has .name $names -}}
{{- fail (printf "webhook.matchConditions has the name %s twice, or it is one of the chart's own: choose another name" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- end }}
