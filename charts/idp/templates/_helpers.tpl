{{/* Names, labels, and what follows from the values: every rule stands here once. */}}

{{- define "idp.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "idp.fullname" -}}
{{- $name := include "idp.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "idp.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "idp.serviceAccountName" -}}
{{- $made := ternary (include "idp.fullname" .) "default" .Values.serviceAccount.create -}}
{{- default $made .Values.serviceAccount.name -}}
{{- end -}}

{{- define "idp.configSecretName" -}}
{{- default (printf "%s-config" (include "idp.fullname" .)) .Values.existingConfigSecret -}}
{{- end -}}

{{- define "idp.selectorLabels" -}}
app.kubernetes.io/name: {{ include "idp.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "idp.labels" -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" (.Chart.AppVersion | replace "+" "_" | trunc 63)
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/part-of" "kube-idp" -}}
{{- $selector := include "idp.selectorLabels" . | fromYaml -}}
{{- mustMergeOverwrite (dict) .Values.commonLabels $own $selector | toYaml -}}
{{- end -}}

{{- define "idp.metadata" -}}
name: {{ include "idp.fullname" . }}
namespace: {{ include "idp.namespace" . }}
labels:
  {{- include "idp.labels" . | nindent 2 }}
{{- end -}}

{{- define "idp.image" -}}
{{- if not .Values.image.repository -}}
{{- fail "image.repository: name the image to run; none is published yet" -}}
{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The most replicas that there can be. */}}
{{- define "idp.replicas" -}}
{{- ternary .Values.autoscaling.maxReplicas .Values.replicaCount .Values.autoscaling.enabled | int -}}
{{- end -}}

{{/* The configuration file: what was given, and what the chart adds. */}}
{{- define "idp.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $storage := default (dict "type" "kubernetes") $config.storage -}}
{{- if eq (toString $storage.type) "kubernetes" -}}
  {{- $store := default dict $storage.config -}}
  {{- if not (or (hasKey $store "inCluster") (hasKey $store "kubeConfigFile")) -}}
    {{- $_ := set $store "inCluster" true -}}
  {{- end -}}
  {{- if and .Values.rbac.generateClientSecrets (not (hasKey $store "generateClientSecrets")) -}}
    {{- $_ := set $store "generateClientSecrets" true -}}
  {{- end -}}
  {{- $_ := set $storage "config" $store -}}
{{- end -}}
{{- $web := default dict $config.web -}}
{{- if .Values.tls.existingSecret -}}
  {{- $tls := dict "https" ":5554" "tlsCert" "/etc/kube-idp/tls/tls.crt" "tlsKey" "/etc/kube-idp/tls/tls.key" -}}
  {{- $web = merge $web $tls -}}
{{- else if not (or $web.http $web.https) -}}
  {{- $_ := set $web "http" ":5556" -}}
{{- end -}}
{{- $telemetry := merge (default dict $config.telemetry) (dict "http" ":5558") -}}
{{- $throttle := default dict $config.throttle -}}
{{- if not (hasKey $throttle "replicas") -}}
  {{- $_ := set $throttle "replicas" (max 1 (include "idp.replicas" . | int)) -}}
{{- end -}}
{{- $added := dict "storage" $storage "web" $web "telemetry" $telemetry "throttle" $throttle -}}
{{- mustMergeOverwrite $config $added | toYaml -}}
{{- end -}}

{{/* What the other templates need to know of the configuration, ours or an existing one. */}}
{{- define "idp.facts" -}}
{{- if .Values.existingConfigSecret -}}
https: {{ ternary 5554 0 (not (empty .Values.tls.existingSecret)) }}
http: {{ ternary 0 5556 (not (empty .Values.tls.existingSecret)) }}
telemetry: 5558
storage: kubernetes
inCluster: true
sealingSecret: kube-idp-sealing-keys
generateClientSecrets: {{ .Values.rbac.generateClientSecrets }}
{{- else -}}
{{- $config := include "idp.config" . | fromYaml -}}
{{- $store := default dict $config.storage.config -}}
{{- $isKubernetes := eq (toString $config.storage.type) "kubernetes" -}}
{{- $hasOwnKey := or (hasKey $store "keyFile") (hasKey $store "keyEnv") -}}
https: {{ include "idp.port" $config.web.https }}
http: {{ include "idp.port" $config.web.http }}
telemetry: {{ include "idp.port" $config.telemetry.http }}
storage: {{ $config.storage.type }}
inCluster: {{ and $isKubernetes (eq (toString $store.inCluster) "true") }}
sealingSecret: {{ ternary (default "kube-idp-sealing-keys" $store.keySecret) "" (and $isKubernetes (not $hasOwnKey)) | quote }}
generateClientSecrets: {{ and $isKubernetes (eq (toString $store.generateClientSecrets) "true") }}
{{- end }}
{{- end -}}

{{/* The port of an address such as `:5556` or `[::]:5556`; 0 for none. */}}
{{- define "idp.port" -}}
{{- regexFind "[0-9]+$" (toString (default "" .)) | default "0" -}}
{{- end -}}
