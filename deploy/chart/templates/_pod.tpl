{{- define "webhooks.labels" -}}
app.kubernetes.io/name: webhooks-{{ .service }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{/* Pods that serve, without those of the job that migrates. */}}
{{- define "webhooks.serving" -}}
{{ include "webhooks.labels" . }}
app.kubernetes.io/component: server
{{- end }}

{{- define "webhooks.ports" -}}
{{- if eq . "config" }}{{ dict "grpc" 50051 "operators" 50061 "metrics" 9101 | toYaml }}{{ else }}{{ dict "grpc" 50052 "operators" 50062 "metrics" 9102 | toYaml }}{{ end }}
{{- end }}

{{/* Image, settings, files and sandbox of a container, for pods and for the job that migrates. */}}
{{- define "webhooks.container" -}}
{{- $values := index .root.Values .service -}}
{{- $ports := include "webhooks.ports" .service | fromYaml -}}
{{- $prefix := printf "SHIPEDGE_%s" (upper .service) -}}
{{- $image := .root.Values.image -}}
image: {{ printf "%s%s%s" $image.repository (hasPrefix "@" $image.tag | ternary "" ":") $image.tag | quote }}
imagePullPolicy: {{ $image.pullPolicy }}
env:
  {{- $env := dict "SHIPEDGE_ENVIRONMENT" "production"
        "SHIPEDGE_CALLERS" .root.Values.callers
        "SHIPEDGE_ENCRYPTION_KEYS_FILE" "/run/webhooks/secrets/encryption_keys"
        "SHIPEDGE_HASH_KEY_FILE" "/run/webhooks/secrets/hash_key"
        "SHIPEDGE_TLS_CERTIFICATE_FILE" "/run/webhooks/tls/tls.crt"
        "SHIPEDGE_TLS_KEY_FILE" "/run/webhooks/tls/tls.key"
        "SHIPEDGE_TLS_CA_FILE" "/run/webhooks/tls/ca.crt"
        (printf "%s_DATABASE_URL_FILE" $prefix) "/run/webhooks/secrets/database_url"
        (printf "%s_LISTEN" $prefix) (printf "0.0.0.0:%d" (int $ports.grpc))
        (printf "%s_OPERATORS_LISTEN" $prefix) (printf "0.0.0.0:%d" (int $ports.operators))
        (printf "%s_METRICS_LISTEN" $prefix) (printf "0.0.0.0:%d" (int $ports.metrics)) }}
  {{- if eq .service "dispatch" }}
  {{- $address := $values.configAddress | default (printf "%s-config:50051" .root.Release.Name) }}
  {{- $_ := set $env "SHIPEDGE_DISPATCH_CONFIG_ADDRESS" $address }}
  {{- end }}
  {{- range $name, $value := mergeOverwrite $env (deepCopy .root.Values.settings) (deepCopy $values.settings) }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
resources:
  {{- toYaml $values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - {name: secrets, mountPath: /run/webhooks/secrets, readOnly: true}
  - {name: tls, mountPath: /run/webhooks/tls, readOnly: true}
  - {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "webhooks.pod" -}}
{{- $values := index .root.Values .service -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
volumes:
  - name: secrets
    secret: {secretName: {{ $values.secret | quote }}, defaultMode: 0440}
  # Changed files are read within ten seconds after they arrive here.
  - name: tls
    secret: {secretName: {{ $values.tlsSecret | quote }}, defaultMode: 0440}
  - name: tmp
    emptyDir: {}
{{- end }}
