{{/* What Kubernetes asks of the entries of lists, and of arguments and variables beside the chart's own. */}}
{{- define "rejob.validate.lists" -}}
{{- $v := .Values -}}
{{- include "rejob.validate.expressions" (list "webhook.namespaceMatchExpressions" $v.webhook.namespaceMatchExpressions) -}}
{{- range list "webhookFrom" "metricsFrom" "dnsTo" "apiServerTo" -}}
{{- include "rejob.validate.peers" (list (printf "networkPolicy.%s" .) (get $v.networkPolicy .)) -}}
{{- end -}}
{{- include "rejob.validate.tolerations" $v.tolerations -}}
{{- include "rejob.validate.arguments" $v.server.extraArgs -}}
{{- include "rejob.validate.variables" $v.server.extraEnv -}}
{{- if hasKey $v.podAnnotations "checksum/policies" -}}
{{- fail "podAnnotations has checksum/policies, which the chart sets itself: remove it" -}}
{{- end -}}
{{- end }}

{{/* Argument: list of the name of the value and its matchExpressions. */}}
{{- define "rejob.validate.expressions" -}}
{{- $where := index . 0 -}}
{{- range index . 1 -}}
{{- if and (has .operator (list "In" "NotIn")) (not .values) -}}
{{- fail (printf "%s has the key %s with the operator %s and no values: list values, or use Exists or DoesNotExist" $where .key .operator) -}}
{{- end -}}
{{- if and (has .operator (list "Exists" "DoesNotExist")) .values -}}
{{- fail (printf "%s has the key %s with the operator %s and values: remove the values, or use In or NotIn" $where .key .operator) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Argument: list of the name of the value and its NetworkPolicy peers. */}}
{{- define "rejob.validate.peers" -}}
{{- $where := index . 0 -}}
{{- range index . 1 -}}
{{- if and (hasKey . "ipBlock") (gt (len .) 1) -}}
{{- fail (printf "%s has a peer with an ipBlock and a selector: write them as two peers" $where) -}}
{{- end -}}
{{- with .ipBlock -}}
{{- include "rejob.validate.block" (list $where .) -}}
{{- end -}}
{{- $peer := . -}}
{{- range list "namespaceSelector" "podSelector" -}}
{{- include "rejob.validate.expressions" (list (printf "%s.%s" $where .) (dig . "matchExpressions" list $peer)) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* An IPv4 address as a number. */}}
{{- define "rejob.ipv4" -}}
{{- $number := 0 -}}
{{- range splitList "." . -}}
{{- $number = add (mul $number 256) (int64 .) -}}
{{- end -}}
{{- $number -}}
{{- end }}

{{/* How many addresses an IPv4 block has; argument: the length of its prefix. */}}
{{- define "rejob.addresses" -}}
{{- $count := 1 -}}
{{- range until (int (sub 32 (int64 .))) -}}
{{- $count = mul $count 2 -}}
{{- end -}}
{{- $count -}}
{{- end }}

{{/* Argument: list of the name of the value and an ipBlock. What IPv6 has beyond the length of the prefix is left to the API server. */}}
{{- define "rejob.validate.block" -}}
{{- $where := index . 0 -}}
{{- $cidr := (index . 1).cidr -}}
{{- $except := default list (index . 1).except -}}
{{- range prepend $except $cidr -}}
{{- if contains "." . -}}
{{- $parts := splitList "/" . -}}
{{- if mod (include "rejob.ipv4" (first $parts) | int64) (include "rejob.addresses" (last $parts) | int64) -}}
{{- fail (printf "%s has the block %s, whose address goes on beyond its prefix: write the first address of the block" $where .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $block := splitList "/" $cidr -}}
{{- range $except -}}
{{- $part := splitList "/" . -}}
{{- $inside := and (eq (contains "." $cidr) (contains "." .)) (gt (last $part | int64) (last $block | int64)) -}}
{{- if and $inside (contains "." .) -}}
{{- $beyond := sub (include "rejob.ipv4" (first $part) | int64) (include "rejob.ipv4" (first $block) | int64) -}}
{{- $inside = and (ge $beyond 0) (lt $beyond (include "rejob.addresses" (last $block) | int64)) -}}
{{- end -}}
{{- if not $inside -}}
{{- fail (printf "%s has the block %s without %s, which is no part of it: remove it" $where $cidr .) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "rejob.validate.tolerations" -}}
{{- range . -}}
{{- $what := printf "tolerations has an entry with the key %q" (default "" .key) -}}
{{- if and (not .key) (ne (default "" .operator) "Exists") -}}
{{- fail (printf "%s and an operator that is not Exists: name the key, or set the operator to Exists to tolerate every taint" $what) -}}
{{- end -}}
{{- if and (eq (default "" .operator) "Exists") .value -}}
{{- fail (printf "%s, the operator Exists and a value: remove the value, or set the operator to Equal" $what) -}}
{{- end -}}
{{- if and (hasKey . "tolerationSeconds") (ne (default "" .effect) "NoExecute") -}}
{{- fail (printf "%s and tolerationSeconds, which go with the effect NoExecute only: set the effect, or remove them" $what) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The flags that the chart sets, with the value to set instead. */}}
{{- define "rejob.flags" -}}
listen: server.address and server.port
admin-listen: server.address and server.adminPort
policies: policies
namespaces: rbac.namespaces
drain-timeout: webhook.timeoutSeconds
log-format: server.logFormat
log-level: server.logLevel
tls-cert: certificates
tls-key: certificates
cert-secret: certificates.self.secretName
webhook-configuration: fullnameOverride
service-name: fullnameOverride
token-secret: webhook.pathToken
check-as-user: checks.asUser
client-ca: certificates.clientCA
client-name: certificates.clientCA.names
pod-namespace: the namespace of the release
{{- end }}

{{/* The flags of `rejob serve` that are left for server.extraArgs. */}}
{{- define "rejob.freeFlags" -}}
ca-life cert-life drain-grace handshake-timeout header-timeout idle-timeout kubeconfig max-body-bytes max-concurrent-reviews max-connections reaper-grace reaper-interval tls-reload-interval
{{- end }}

{{- define "rejob.validate.arguments" -}}
{{- $own := include "rejob.flags" . | fromYaml -}}
{{- $free := include "rejob.freeFlags" . | splitList " " -}}
{{- $seen := list -}}
{{- $takesValue := false -}}
{{- range . -}}
{{- $flag := regexFind "^--[^=]+" . -}}
{{- if and (not $flag) (not $takesValue) -}}
{{- fail (printf "server.extraArgs has %q, which is no flag: write --flag=value" .) -}}
{{- end -}}
{{- $takesValue = and $flag (not (contains "=" .)) -}}
{{- with get $own (trimPrefix "--" $flag) -}}
{{- fail (printf "server.extraArgs has %s, which the chart sets itself: use %s" $flag .) -}}
{{- end -}}
{{- if and $flag (not (has (trimPrefix "--" $flag) $free)) -}}
{{- fail (printf "server.extraArgs has %s, which rejob serve does not know: choose one of %s" $flag (join ", " $free)) -}}
{{- end -}}
{{- if has $flag $seen -}}
{{- fail (printf "server.extraArgs has %s twice: keep one of them" $flag) -}}
{{- end -}}
{{- if $flag -}}
{{- $seen = append $seen $flag -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "rejob.validate.variables" -}}
{{- $own := include "rejob.flags" . | fromYaml -}}
{{- $seen := list -}}
{{- range . -}}
{{- if eq .name "POD_NAMESPACE" -}}
{{- fail "server.extraEnv has POD_NAMESPACE, which the chart sets itself: remove it" -}}
{{- end -}}
{{- if hasPrefix "REJOB_" .name -}}
{{- $name := .name -}}
{{- with get $own (trimPrefix "REJOB_" .name | lower | replace "_" "-") -}}
{{- fail (printf "server.extraEnv has a variable for a flag that the chart sets itself, %s: use %s" $name .) -}}
{{- end -}}
{{- end -}}
{{- if has .name $seen -}}
{{- fail (printf "server.extraEnv has %s twice: keep one of them" .name) -}}
{{- end -}}
{{- $seen = append $seen .name -}}
{{- if and .value .valueFrom -}}
{{- fail (printf "server.extraEnv has %s with a value and a valueFrom: keep one of them" .name) -}}
{{- end -}}
{{- end -}}
{{- end }}
