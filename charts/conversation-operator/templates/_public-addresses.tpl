{{- /*
Everything but what is never public (IANA's special-purpose registries): pods, services, nodes, metadata services.
168.63.129.16 is Azure's host agent, which hands out credentials on a public address.
64:ff9b::/96 is NAT64: the private IPv4 ranges as an IPv6-only pod would write them.
*/ -}}
{{- define "conversation-operator.publicAddresses" -}}
{{- $ipv4 := list
  "0.0.0.0/8"
  "10.0.0.0/8"
  "100.64.0.0/10"
  "127.0.0.0/8"
  "168.63.129.16/32"
  "169.254.0.0/16"
  "172.16.0.0/12"
  "192.0.0.0/24"
  "192.168.0.0/16"
  "198.18.0.0/15"
  "224.0.0.0/4"
  "240.0.0.0/4"
-}}
{{- $ipv6 := list
  "::1/128"
  "64:ff9b::a00:0/104"
  "64:ff9b::6440:0/106"
  "64:ff9b::a9fe:0/112"
  "64:ff9b::ac10:0/108"
  "64:ff9b::c0a8:0/112"
  "64:ff9b:1::/48"
  "fc00::/7"
  "fe80::/10"
  "ff00::/8"
-}}
{{- range .Values.runtimes.egress.deny -}}
{{- if contains ":" . -}}
{{- $ipv6 = append $ipv6 . -}}
{{- else -}}
{{- $ipv4 = append $ipv4 . -}}
{{- end -}}
{{- end -}}
- ipBlock:
    cidr: 0.0.0.0/0
    except:
      {{- toYaml ($ipv4 | uniq) | nindent 6 }}
- ipBlock:
    cidr: ::/0
    except:
      {{- toYaml ($ipv6 | uniq) | nindent 6 }}
{{- end -}}
