// Package config reads the configuration of the controller: key conf.yml of ConfigMap
// spiderpool-conf.
//
// It is strict, because a cluster-wide switch that is misspelt, and therefore ignored, is noticed
// only when pods are on the wrong network:
//
//   - Unknown keys, duplicate keys, keys in a different case (EnableIPv4) and a second YAML
//     document are errors that name them.
//   - Every value is checked, and one error lists all that is wrong.
//   - A key that users know from the API but that nothing reads yet is accepted only with the value
//     that describes what happens anyway; any other value is refused as not supported yet.
//
// A key without a value (null) counts as missing. An empty file is the default configuration.
//
// What does not live here: what the values do (packages admission and selection).
package config
