{{/*
The CEL conditions for what is left alone. Each condition is true when rejob is to be called; the server applies the
same rules again (crates/core/src/decide/left_alone.rs). No expression may fail on any Job: with failurePolicy Fail an error refuses it.

An object that has the label or annotation rejob.dev/dormant, before or after the change, is never
left out because of other fields: rejob has to remove a forged dormant mark.
*/}}

{{- define "rejob.cel.dormant" -}}
[object, oldObject].exists(o, o != null && ((has(o.metadata.labels) && 'rejob.dev/dormant' in o.metadata.labels) || (has(o.metadata.annotations) && 'rejob.dev/dormant' in o.metadata.annotations)))
{{- end }}

{{/* A stored Job that rejob has made dormant, as far as that can be seen: its parallelism is 0, and it has a record as rejob writes it. */}}
{{- define "rejob.cel.isDormant" -}}
oldObject != null && has(oldObject.metadata.labels) && 'rejob.dev/dormant' in oldObject.metadata.labels && has(oldObject.spec.parallelism) && oldObject.spec.parallelism == 0 && has(oldObject.metadata.annotations) && 'rejob.dev/dormant' in oldObject.metadata.annotations && oldObject.metadata.annotations['rejob.dev/dormant'].contains('"parallelism":')
{{- end }}

{{/* A change of rejob.dev/rerun: the same Job is to run again. */}}
{{- define "rejob.cel.asksForARerun" -}}
oldObject != null && has(object.metadata.annotations) && 'rejob.dev/rerun' in object.metadata.annotations && !(has(oldObject.metadata.annotations) && 'rejob.dev/rerun' in oldObject.metadata.annotations && oldObject.metadata.annotations['rejob.dev/rerun'] == object.metadata.annotations['rejob.dev/rerun'])
{{- end }}

{{/*
A created Job that Argo CD, Flux or Fleet keeps in step with its source: by its marks, or by the field manager. A TTL
would have it run again after each deletion, so only the Job's own annotation asks for one.
*/}}
{{- define "rejob.cel.isOfAGitOpsTool" -}}
(has(object.metadata.annotations) && object.metadata.annotations.exists(k, k.startsWith('argocd.argoproj.io/tracking-id') || k.startsWith('objectset.rio.cattle.io/'))) || (has(object.metadata.labels) && object.metadata.labels.exists(k, k.startsWith('argocd.argoproj.io/instance') || k.startsWith('kustomize.toolkit.fluxcd.io/') || k.startsWith('helm.toolkit.fluxcd.io/') || k.startsWith('objectset.rio.cattle.io/'))) || (has(object.metadata.managedFields) && object.metadata.managedFields.exists(f, has(f.manager) && f.manager in ['argocd-controller', 'argocd-application-controller', 'kustomize-controller', 'helm-controller', 'fleetagent']))
{{- end }}

{{/* True unless the test (on `o`) holds for the Job both before and after the change. */}}
{{- define "rejob.cel.unless" -}}
{{ include "rejob.cel.dormant" . }} || ![object, oldObject].all(o, o == null || ({{ . }}))
{{- end }}

{{/* Users that are never asked about: rejob itself and the control plane. All of kube-system would be too much: k3s deploys Helm charts from there. */}}
{{- define "rejob.controlPlaneUsers" -}}
{{- $users := list (include "rejob.ownUser" .) "system:kube-controller-manager" "system:apiserver" -}}
{{- range list "job-controller" "cronjob-controller" "ttl-after-finished-controller" "generic-garbage-collector" "namespace-controller" "pod-garbage-collector" "resourcequota-controller" "storage-version-migrator-controller" "disruption-controller" "node-controller" -}}
{{- $users = append $users (printf "system:serviceaccount:kube-system:%s" .) -}}
{{- end -}}
{{- $users | toJson -}}
{{- end }}

{{/* A list of CEL literals in single quotes; argument: a list of texts, which the schema keeps free of quotes and backslashes. */}}
{{- define "rejob.cel.list" -}}
['{{ join "', '" . }}']
{{- end }}

{{/* One of webhook.namespaceMatchExpressions, on the namespace of the request. */}}
{{- define "rejob.cel.namespaceMatches" -}}
{{- $labels := "namespaceObject.metadata.labels" -}}
{{- $holds := printf "has(%s) && '%s' in %s" $labels .key $labels -}}
{{- if has .operator (list "In" "NotIn") -}}
{{- $holds = printf "%s && %s['%s'] in %s" $holds $labels .key (include "rejob.cel.list" .values) -}}
{{- end -}}
{{- ternary (printf "!(%s)" $holds) $holds (has .operator (list "NotIn" "DoesNotExist")) -}}
{{- end }}

{{/* Argument: list of root and the users beside the control plane. */}}
{{- define "rejob.notFromTheControlPlane" -}}
{{- $users := include "rejob.controlPlaneUsers" (index . 0) | fromJsonArray -}}
- name: not-from-the-control-plane
  expression: >-
    !(request.userInfo.username in {{ include "rejob.cel.list" (concat $users (index . 1) | uniq) }})
{{- end }}

{{- define "rejob.matchConditions" -}}
{{ include "rejob.notFromTheControlPlane" (list . .Values.webhook.ignoredUsers) }}
- name: not-owned-by-a-controller
  expression: >-
    {{ include "rejob.cel.unless" "has(o.metadata.ownerReferences) && o.metadata.ownerReferences.exists(r, has(r.controller) && r.controller)" }}
# Helm and Argo CD delete and create their hooks; whatever updates such a Job is another tool.
- name: not-a-hook
  expression: >-
    oldObject != null || {{ include "rejob.cel.unless" "has(o.metadata.annotations) && ('helm.sh/hook' in o.metadata.annotations || 'argocd.argoproj.io/hook' in o.metadata.annotations)" }}
- name: not-managed-elsewhere
  expression: >-
    {{ include "rejob.cel.unless" "has(o.spec) && has(o.spec.managedBy) && o.spec.managedBy != 'kubernetes.io/job-controller'" }}
- name: not-skipped
  expression: >-
    {{ include "rejob.cel.unless" "has(o.metadata.annotations) && 'rejob.dev/skip' in o.metadata.annotations && o.metadata.annotations['rejob.dev/skip'] == 'true'" }}
{{- if include "rejob.replaces" . }}
# Those go to an entry of their own.
- name: not-dormant
  expression: >-
    !({{ include "rejob.cel.isDormant" . }})
{{- end }}
{{- with .Values.webhook.matchConditions }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
The one condition of an entry while rejob is paused. The entry itself stays, with the caBundle and the path
that the server wrote into it, so that rejob is called again at once when the pause ends.
*/}}
{{- define "rejob.paused" -}}
- name: paused
  expression: "false"
{{- end }}
