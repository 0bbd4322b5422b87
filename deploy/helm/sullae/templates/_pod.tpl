{{/* Where the model is: {"kind": demo|pvc|hostPath, "claim": "", "path": ""} as JSON. */}}
{{- define "sullae.model" -}}
{{- $uri := .Values.model.uri -}}
{{- if eq $uri "demo" -}}
{{ dict "kind" "demo" "flag" "demo" | toJson }}
{{- else if hasPrefix "pvc://" $uri -}}
{{- $parts := splitn "/" 2 (trimPrefix "pvc://" $uri) -}}
{{ dict "kind" "pvc" "claim" $parts._0 "flag" (printf "/models/%s" ($parts._1 | default "") | trimSuffix "/") | toJson }}
{{- else -}}
{{- $path := trimPrefix "hostpath://" $uri | trimSuffix "/" -}}
{{ dict "kind" "hostPath" "path" (dir $path) "flag" (printf "/models/%s" (base $path)) | toJson }}
{{- end -}}
{{- end }}

{{/* The volume that holds the model; nothing for the built-in one. */}}
{{- define "sullae.modelVolume" -}}
{{- $m := include "sullae.model" . | fromJson -}}
{{- if eq $m.kind "pvc" }}
- name: model
  persistentVolumeClaim: {claimName: {{ $m.claim }}, readOnly: true}
{{- else if eq $m.kind "hostPath" }}
- name: model
  hostPath: {path: {{ $m.path }}, type: Directory}
{{- end }}
{{- end }}

{{/* Environment of coordinators and workers: who they are. */}}
{{- define "sullae.env" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
{{- if and (not .Values.etcd.bundled.enabled) .Values.etcd.external.authSecret }}
- name: SULLAE_ETCD_USER
  valueFrom: {secretKeyRef: {name: {{ .Values.etcd.external.authSecret }}, key: username}}
- name: SULLAE_ETCD_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ .Values.etcd.external.authSecret }}, key: password}}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Arguments that coordinators and workers share. */}}
{{- define "sullae.nodeArgs" -}}
- --id=$(POD_NAME)
- --advertise=$(POD_IP)
- --cluster={{ .Release.Namespace }}.{{ include "sullae.fullname" . }}
- --gossip=:7946
- --gossip-key=@/etc/sullae/gossip/gossip-key
- --ops=:9091
- --lease-ttl={{ .Values.failure.leaseTTL }}
- --drain-timeout={{ .Values.drain.timeout }}s
- --log-level={{ .Values.log.level }}
- --log-format={{ .Values.log.format }}
{{- with .Values.tracing.otlp }}
{{- if .endpoint }}
- --otlp-endpoint={{ .endpoint }}
- --otlp-protocol={{ .protocol }}
{{- if not (kindIs "invalid" .ratio) }}
- --trace-ratio={{ .ratio }}
{{- end }}
{{- end }}
{{- end }}
- --etcd={{ include "sullae.etcd.endpoints" . }}
- --etcd-prefix={{ .Values.etcd.prefix }}
{{- if include "sullae.etcd.tls" . }}
- --etcd-ca=/etc/sullae/etcd/ca.crt
{{- if .Values.etcd.bundled.enabled }}
- --etcd-cert=/etc/sullae/etcd/tls.crt
- --etcd-key=/etc/sullae/etcd/tls.key
{{- else if .Values.etcd.external.tlsSecret }}
{{- if .Values.etcd.external.clientCert }}
- --etcd-cert=/etc/sullae/etcd/tls.crt
- --etcd-key=/etc/sullae/etcd/tls.key
{{- end }}
{{- with .Values.etcd.external.serverName }}
- --etcd-server-name={{ . }}
{{- end }}
{{- end }}
{{- end }}
{{- if ne .Values.nodeTLS.mode "disabled" }}
- --node-ca=/etc/sullae/node/ca.crt
- --node-cert=/etc/sullae/node/tls.crt
- --node-key=/etc/sullae/node/tls.key
- --node-name={{ .Values.nodeTLS.nodeName }}
{{- end }}
{{- end }}

{{- define "sullae.nodeMounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: gossip, mountPath: /etc/sullae/gossip, readOnly: true}
{{- if ne .Values.nodeTLS.mode "disabled" }}
- {name: node-tls, mountPath: /etc/sullae/node, readOnly: true}
{{- end }}
{{- if include "sullae.etcd.tls" . }}
- {name: etcd-tls, mountPath: /etc/sullae/etcd, readOnly: true}
{{- end }}
{{- end }}

{{- define "sullae.nodeVolumes" -}}
- name: tmp
  emptyDir: {}
- name: gossip
  secret: {secretName: {{ include "sullae.gossipSecret" . }}, defaultMode: 0440}
{{- if ne .Values.nodeTLS.mode "disabled" }}
- name: node-tls
  secret: {secretName: {{ include "sullae.nodeSecret" . }}, defaultMode: 0440}
{{- end }}
{{- with include "sullae.etcd.tls" . }}
- name: etcd-tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{/* A volume of an existing claim, or an emptyDir; (list name claim). */}}
{{- define "sullae.claimOrEmpty" -}}
- name: {{ index . 0 }}
{{- with index . 1 }}
  persistentVolumeClaim: {claimName: {{ . }}}
{{- else }}
  emptyDir: {}
{{- end }}
{{- end }}

{{/* Probes of coordinators and workers, on the plaintext ops port. */}}
{{- define "sullae.probes" -}}
startupProbe:
  httpGet: {path: /startupz, port: ops}
  periodSeconds: 1
  failureThreshold: {{ .Values.probes.startup.timeoutSeconds }}
readinessProbe:
  httpGet: {path: /readyz, port: ops}
  periodSeconds: {{ .Values.probes.readiness.periodSeconds }}
  timeoutSeconds: 2
  failureThreshold: {{ .Values.probes.readiness.failureThreshold }}
livenessProbe:
  httpGet: {path: /livez, port: ops}
  periodSeconds: {{ .Values.probes.liveness.periodSeconds }}
  timeoutSeconds: 5
  failureThreshold: {{ .Values.probes.liveness.failureThreshold }}
{{- end }}

{{/* Where pods are placed; (list constraints selector). */}}
{{- define "sullae.spread" -}}
{{- $selector := index . 1 | fromYaml -}}
{{- $constraints := index . 0 -}}
{{- if kindIs "invalid" $constraints -}}
{{- $constraints = list (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway") -}}
{{- end -}}
{{- range $constraints }}
{{ list (merge (deepCopy .) (dict "labelSelector" (dict "matchLabels" $selector))) | toYaml }}
{{- end -}}
{{- end }}

{{/* Placement that every pod template may have; (list $ component-values selector). */}}
{{- define "sullae.placement" -}}
{{- $root := index . 0 -}}
{{- $v := index . 1 -}}
serviceAccountName: {{ include "sullae.serviceAccount" $root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- with $v.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $v.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with $v.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "sullae.spread" (list $v.topologySpreadConstraints (index . 2)) }}
topologySpreadConstraints:
{{- . }}
{{- end }}
{{- end }}

{{/* The longest that an orderly end takes: preStop, drain, and what follows. */}}
{{- define "sullae.grace" -}}
{{ add .Values.drain.preStopSleep .Values.drain.timeout 15 }}
{{- end }}
