#!/bin/sh
# Prints rules.yaml: the rules of deploy/observability/alerts.yml as an object of the Prometheus
# Operator. After a change there: ./make-rules.sh >rules.yaml (a test compares the two).
set -eu
cd "$(dirname "$0")"
cat <<'HEAD'
# Made by make-rules.sh from deploy/observability/alerts.yml.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: xqueue
spec:
HEAD
sed -n '/^groups:/,$ s/^/  /p' ../../../observability/alerts.yml
