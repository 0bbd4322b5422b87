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
The pools, each with all defaults, as a JSON object {"pools": [...]}.

Helm's --set replaces a list that values files do not hold: "--reuse-values --set workers.pools[0].replicas=4" leaves a
pool of nothing but its replicas. Where that can only mean the default pool it is taken for it, else it is refused.
*/}}
{{- define "sullae.pools" -}}
{{- $out := list -}}
{{- $names := dict -}}
{{- range $i, $given := .Values.workers.pools -}}
{{- $pool := mergeOverwrite (deepCopy $.Values.workers.defaults) $given -}}
{{- if not $pool.name -}}
{{- $set := printf "%s-cpu" (include "sullae.fullname" $) -}}
{{- $api := ternary "leaderworkerset.x-k8s.io/v1" "apps/v1" (eq $.Values.workload.kind "LeaderWorkerSet") -}}
{{- if or (gt (len $.Values.workers.pools) 1) (and $.Release.IsUpgrade (not (lookup $api $.Values.workload.kind $.Release.Namespace $set))) -}}
{{- fail (printf "workers.pools[%d]: no name. --set replaces the whole list of pools: give the values file again (-f), or scale with --set workers.replicas.NAME=N" $i) -}}
{{- end -}}
{{- $_ := set $pool "name" "cpu" -}}
{{- end -}}
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
