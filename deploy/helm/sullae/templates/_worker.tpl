{{/* A worker's pod template; (list $ pool). */}}
{{- define "sullae.workerPod" -}}
{{- $root := index . 0 -}}
{{- $p := index . 1 -}}
{{- $cuda := eq $p.kind "cuda" -}}
{{- $model := include "sullae.model" $root | fromJson -}}
{{- $mounted := ne $root.Values.model.weights "streamed" -}}
metadata:
  labels:
    {{- include "sullae.podLabels" (list $root "worker" $p.name) | nindent 4 }}
    {{- with $p.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: worker
    {{- with $p.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "sullae.placement" (list $root $p (include "sullae.selector" (list $root "worker" $p.name))) | nindent 2 }}
  terminationGracePeriodSeconds: {{ include "sullae.grace" $root }}
  containers:
  - name: worker
    {{- if $cuda }}
    image: {{ include "sullae.image" (dict "image" $root.Values.image.gpu "tag" $root.Chart.AppVersion) }}
    {{- else }}
    image: {{ include "sullae.image" (dict "image" $root.Values.image "tag" $root.Chart.AppVersion) }}
    {{- end }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    args:
    - worker
    {{- include "sullae.nodeArgs" $root | nindent 4 }}
    - --listen=:9200
    {{- if $cuda }}
    - --device=cuda
    {{- end }}
    {{- if ne (toString $p.weight) "auto" }}
    - --capacity={{ $p.weight }}
    {{- end }}
    {{- if ne (toString $p.threads) "auto" }}
    - --threads={{ int $p.threads }}
    {{- end }}
    {{- with $p.memory }}
    - --memory={{ int64 . }}
    {{- end }}
    {{- if $mounted }}
    - --model={{ $model.flag }}
    {{- end }}
    {{- if $p.packCache.enabled }}
    - --pack-cache=/var/cache/sullae
    - --pack-cache-size={{ $p.packCache.limit }}
    {{- end }}
    {{- with $p.extraArgs }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    env:
    {{- include "sullae.env" $root | nindent 4 }}
    {{- with $p.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    ports:
    - {name: rank, containerPort: 9200}
    - {name: ops, containerPort: 9091}
    - {name: gossip-tcp, containerPort: 7946}
    - {name: gossip-udp, containerPort: 7946, protocol: UDP}
    {{- include "sullae.probes" $root | nindent 4 }}
    {{- $resources := deepCopy $p.resources }}
    {{- if $cuda }}
    {{- $gpus := dict "nvidia.com/gpu" (int $p.gpus) }}
    {{- $resources = merge (dict "limits" (merge $gpus ($resources.limits | default dict))) $resources }}
    {{- end }}
    resources:
      {{- toYaml $resources | nindent 6 }}
    securityContext:
      {{- toYaml $root.Values.securityContext | nindent 6 }}
    volumeMounts:
    {{- include "sullae.nodeMounts" $root | nindent 4 }}
    {{- if and $mounted (ne $model.kind "demo") }}
    - {name: model, mountPath: /models, readOnly: true}
    {{- end }}
    {{- if $p.packCache.enabled }}
    - {name: pack-cache, mountPath: /var/cache/sullae}
    {{- end }}
    {{- with $p.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
  {{- include "sullae.nodeVolumes" $root | nindent 2 }}
  {{- if $mounted }}
  {{- include "sullae.modelVolume" $root | indent 2 }}
  {{- end }}
  {{- if $p.packCache.enabled }}
  {{- if eq $p.packCache.type "hostPath" }}
  - name: pack-cache
    hostPath: {path: {{ $p.packCache.hostPath }}, type: DirectoryOrCreate}
  {{- else if eq $p.packCache.type "emptyDir" }}
  - name: pack-cache
    emptyDir: {{ with $p.packCache.size }}{sizeLimit: {{ . }}}{{ else }}{}{{ end }}
  {{- end }}
  {{- end }}
  {{- with $p.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
