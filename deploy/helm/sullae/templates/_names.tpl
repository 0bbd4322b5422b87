{{- define "sullae.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "sullae.fullname" -}}
{{- $name := include "sullae.name" . -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{/* Labels of an object; (list $ "component"). */}}
{{- define "sullae.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: sullae
{{ include "sullae.selector" . }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of a component's pods: none that a new chart or version changes, which would restart them. */}}
{{- define "sullae.podLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/part-of: sullae
{{ include "sullae.selector" . }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What selects a component's pods; (list $ "component"), or (list $ "worker" "pool"). */}}
{{- define "sullae.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "sullae.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- with index . 1 }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- if gt (len .) 2 }}
sullae.dev/pool: {{ index . 2 }}
{{- end }}
{{- end }}

{{- define "sullae.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "sullae.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end }}

{{/* An image's reference; (dict "image" {repository, tag, digest} "tag" default). */}}
{{- define "sullae.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .tag }}
{{- end -}}
{{- end }}

{{/*
The pools as they were asked for, without defaults, as a JSON object {"pools": [...]}.

Helm's --set replaces lists: "--reuse-values --set workers.pools[0].replicas=4" leaves a pool of nothing but its replicas.
A pool without a name therefore stands for the one that the release has in its place, with all that was said of that
before, and pools behind it stay. What the release has is kept in an annotation of the coordinators' Deployment.
*/}}
{{- define "sullae.poolsAsked" -}}
{{- $given := .Values.workers.pools -}}
{{- $nameless := -1 -}}
{{- range $i, $p := $given -}}
{{- if and (eq $nameless -1) (not ($p | default dict).name) -}}
{{- $nameless = $i -}}
{{- end -}}
{{- end -}}
{{- $out := $given -}}
{{- if ge $nameless 0 -}}
{{- $kept := list -}}
{{- $deployment := lookup "apps/v1" "Deployment" .Release.Namespace (printf "%s-coordinator" (include "sullae.fullname" .)) -}}
{{- with ($deployment.metadata | default dict).annotations -}}
{{- $kept = index . "sullae.dev/pools" | default "[]" | fromJsonArray -}}
{{- end -}}
{{- if and (not $kept) (not .Release.IsUpgrade) (eq (len $given) 1) -}}
{{- /* A new release: the list that was replaced is the chart's own. */ -}}
{{- $kept = list (dict "name" "cpu") -}}
{{- end -}}
{{- if not $kept -}}
{{- fail (printf "workers.pools[%d]: no name. --set replaces the whole list of pools, and what the release has cannot be looked up here: give the values file again (-f), or scale with --set workers.replicas.NAME=N" $nameless) -}}
{{- end -}}
{{- $out = list -}}
{{- range $i := until (int (max (len $given) (len $kept))) -}}
{{- $new := dict -}}
{{- if lt $i (len $given) -}}
{{- $new = index $given $i | default dict -}}
{{- end -}}
{{- if not $new.name -}}
{{- if ge $i (len $kept) -}}
{{- fail (printf "workers.pools[%d]: no name, and the release has no pool in this place (it has %d)" $i (len $kept)) -}}
{{- end -}}
{{- $old := index $kept $i -}}
{{- $byName := get $.Values.workers.replicas $old.name -}}
{{- if and (hasKey $.Values.workers.replicas $old.name) (hasKey $new "replicas") (ne (toString $new.replicas) (toString $byName)) (ne (toString $new.replicas) (toString $old.replicas)) -}}
{{- fail (printf "workers.pools[%d].replicas=%v has no effect while workers.replicas.%s=%v is set: scale with --set workers.replicas.%s=N" $i $new.replicas $old.name $byName $old.name) -}}
{{- end -}}
{{- $new = mergeOverwrite (deepCopy $old) $new -}}
{{- end -}}
{{- $out = append $out $new -}}
{{- end -}}
{{- end -}}
{{- dict "pools" $out | toJson -}}
{{- end }}

{{/* The pools, each with all defaults, as a JSON object {"pools": [...]}. */}}
{{- define "sullae.pools" -}}
{{- $out := list -}}
{{- $names := dict -}}
{{- range (include "sullae.poolsAsked" . | fromJson).pools -}}
{{- $pool := mergeOverwrite (deepCopy $.Values.workers.defaults) . -}}
{{- if hasKey $names $pool.name -}}
{{- fail (printf "workers.pools: two pools are named %q" $pool.name) -}}
{{- end -}}
{{- $_ := set $names $pool.name true -}}
{{- if and $out (ne $pool.kind (first $out).kind) -}}
{{- fail (printf "workers.pools: %s is of kind %s, %s of kind %s: a group holds workers of one arithmetic class, so the others would idle" $pool.name $pool.kind (first $out).name (first $out).kind) -}}
{{- end -}}
{{- if hasKey $.Values.workers.replicas $pool.name -}}
{{- $_ := set $pool "replicas" (get $.Values.workers.replicas $pool.name) -}}
{{- end -}}
{{- $scaled := and (or $.Values.autoscaling.hpa.enabled $.Values.autoscaling.keda.enabled) (eq $.Values.autoscaling.pool $pool.name) -}}
{{- $out = append $out (set $pool "autoscaled" $scaled) -}}
{{- end -}}
{{- range $name, $_ := .Values.workers.replicas -}}
{{- if not (hasKey $names $name) -}}
{{- fail (printf "workers.replicas.%s: no pool is named so" $name) -}}
{{- end -}}
{{- end -}}
{{- dict "pools" $out | toJson -}}
{{- end }}

{{/* --workers: a number, or 0 for all that there are. */}}
{{- define "sullae.ranks" -}}
{{- $pools := (include "sullae.pools" . | fromJson).pools -}}
{{- $sum := 0 -}}
{{- $spares := 0 -}}
{{- range $pools -}}
{{- $sum = add $sum .replicas -}}
{{- $spares = add $spares .spares -}}
{{- end -}}
{{- if and (gt (int .Values.parallelism.groups) 1) (eq (toString .Values.parallelism.tensor) "auto") -}}
{{- fail "parallelism.tensor: several groups (parallelism.groups) need to know how many workers make one" -}}
{{- end -}}
{{- if ne (toString .Values.parallelism.tensor) "auto" -}}
{{ int .Values.parallelism.tensor }}
{{- else if gt (int $spares) 0 -}}
{{ $sum }}
{{- else -}}
0
{{- end -}}
{{- end }}
