package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	goyaml "go.yaml.in/yaml/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// file is conf.yml as it is written. Pointers and raw values tell a missing key from a zero value.
type file struct {
	EnableIPv4 *bool `json:"enableIPv4"`
	EnableIPv6 *bool `json:"enableIPv6"`

	ClusterDefaultIPv4IPPool []string `json:"clusterDefaultIPv4IPPool"`
	ClusterDefaultIPv6IPPool []string `json:"clusterDefaultIPv6IPPool"`

	DefaultNetwork          *bool                 `json:"defaultNetwork"`
	IgnoredNamespaces       *metav1.LabelSelector `json:"ignoredNamespaces"`
	Exhaustion              *string               `json:"exhaustion"`
	ExpiryGrace             *string               `json:"expiryGrace"`
	APIServerRequestTimeout *string               `json:"apiServerRequestTimeout"`

	EnableStatefulSet   *bool           `json:"enableStatefulSet"`
	StableIdentityKinds []groupKind     `json:"stableIdentityKinds"`
	ReservationCap      *reservationCap `json:"reservationCap"`

	later
}

type groupKind struct {
	Group *string `json:"group"`
	Kind  *string `json:"kind"`
}

type reservationCap struct {
	Namespace *int `json:"namespace"`
	Owner     *int `json:"owner"`
}

// later are the keys that nothing reads yet.
type later struct {
	EnableSpiderSubnet                   *bool    `json:"enableSpiderSubnet"`
	ClusterDefaultIPv4Subnet             []string `json:"clusterDefaultIPv4Subnet"`
	ClusterDefaultIPv6Subnet             []string `json:"clusterDefaultIPv6Subnet"`
	ClusterSubnetDefaultFlexibleIPNumber *int64   `json:"clusterSubnetDefaultFlexibleIPNumber"`
}

// Parse reads conf.yml.
func Parse(data []byte) (Config, error) {
	f, err := decode(data)
	if err != nil {
		return Config{}, fmt.Errorf("reading configuration: %w", err)
	}
	c, errs := f.config()
	if err := errs.ToAggregate(); err != nil {
		return Config{}, fmt.Errorf("checking configuration: %w", err)
	}
	return c, nil
}

func decode(data []byte) (file, error) {
	var f file
	asJSON, err := onlyDocument(data)
	if err != nil || asJSON == nil {
		return f, err
	}
	if !bytes.HasPrefix(asJSON, []byte("{")) {
		return f, errors.New("want keys with values, such as enableIPv4: true")
	}
	// Not encoding/json, which matches keys in any case: EnableIPv4 for enableIPv4.
	strict, err := json.UnmarshalStrict(asJSON, &f)
	if err != nil {
		return f, readable(err)
	}
	return f, errors.Join(strict...)
}

// onlyDocument returns the only YAML document of data as JSON, nil where there are only comments.
// The usual functions stop at the end of the first document and ignore what follows silently.
func onlyDocument(data []byte) ([]byte, error) {
	decoder := goyaml.NewDecoder(bytes.NewReader(data))
	decoder.SetStrict(true) // a key given twice is an error
	var only any
	for {
		var document any
		err := decoder.Decode(&document)
		switch {
		case errors.Is(err, io.EOF):
			if only == nil {
				return nil, nil
			}
			return toJSON(only)
		case err != nil:
			return nil, readable(err)
		case document == nil:
		case only != nil:
			return nil, errors.New("more than one YAML document")
		default:
			only = document
		}
	}
}

func toJSON(document any) ([]byte, error) {
	text, err := goyaml.Marshal(document)
	if err != nil {
		return nil, readable(err)
	}
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, readable(err)
	}
	return asJSON, nil
}

// readable strips the layers of conversion from an error that users do not need to see.
func readable(err error) error {
	text := err.Error()
	for _, layer := range []string{"error converting YAML to JSON: ", "yaml: unmarshal errors:\n  ", "yaml: ", "json: "} {
		text = strings.TrimPrefix(text, layer)
	}
	return errors.New(strings.ReplaceAll(text, "Go struct field file.", ""))
}
