{{- define "sullae.gossipSecret" -}}
{{ .Values.memberlist.existingSecret | default (printf "%s-gossip" (include "sullae.fullname" .)) }}
{{- end }}

{{- define "sullae.nodeSecret" -}}
{{- if eq .Values.nodeTLS.mode "secret" -}}
{{ required "nodeTLS.existingSecret: name the Secret with ca.crt, tls.crt and tls.key (nodeTLS.mode is secret)" .Values.nodeTLS.existingSecret }}
{{- else -}}
{{ include "sullae.fullname" . }}-node-tls
{{- end -}}
{{- end }}

{{/* The Secret of a bundled etcd's members; empty: plain text. */}}
{{- define "sullae.etcd.memberSecret" -}}
{{- if .Values.etcd.bundled.enabled -}}
{{- if has .Values.nodeTLS.mode (list "generated" "certManager") -}}
{{ include "sullae.fullname" . }}-etcd-tls
{{- else if eq .Values.nodeTLS.mode "secret" -}}
{{ .Values.etcd.bundled.tlsSecret }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The Secret that coordinators and workers show etcd; empty: plain text. */}}
{{- define "sullae.etcd.tls" -}}
{{- if not .Values.etcd.bundled.enabled -}}
{{ .Values.etcd.external.tlsSecret }}
{{- else if include "sullae.etcd.memberSecret" . -}}
{{ include "sullae.nodeSecret" . }}
{{- end -}}
{{- end }}

{{- define "sullae.etcd.name" -}}
{{ include "sullae.fullname" . }}-etcd
{{- end }}

{{- define "sullae.etcd.host" -}}
{{- $root := index . 0 -}}
{{ printf "%s-%d.%s.%s.svc" (include "sullae.etcd.name" $root) (index . 1) (include "sullae.etcd.name" $root) $root.Release.Namespace }}
{{- end }}

{{- define "sullae.etcd.endpoints" -}}
{{- if .Values.etcd.bundled.enabled -}}
{{- $hosts := list -}}
{{- range $i := until (int .Values.etcd.bundled.replicas) -}}
{{- $hosts = append $hosts (printf "%s:2379" (include "sullae.etcd.host" (list $ $i))) -}}
{{- end -}}
{{ join "," $hosts }}
{{- else -}}
{{- if not .Values.etcd.external.endpoints -}}
{{- fail "etcd.external.endpoints: name an etcd, or set etcd.bundled.enabled" -}}
{{- end -}}
{{ join "," .Values.etcd.external.endpoints }}
{{- end -}}
{{- end }}

{{/* The API's certificate. */}}
{{- define "sullae.apiSecret" -}}
{{- if .Values.tls.certManager.enabled -}}
{{ include "sullae.fullname" . }}-api-tls
{{- else -}}
{{ required "tls.existingSecret: name the Secret with tls.crt and tls.key, or set tls.certManager.enabled (tls.enabled is true)" .Values.tls.existingSecret }}
{{- end -}}
{{- end }}
