package project

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/types"
)

// bindTyped fills types.Project from the model. compose-go's own binding
// takes a third of a millisecond for each service.
func (l *loading) bindTyped() error {
	p := &types.Project{Name: l.name, WorkingDir: l.folder, Environment: l.env, Profiles: l.Profiles}
	model := separateExtensions(l.model, "").(map[string]any)
	delete(model, "name")
	if services, ok := model["services"].(map[string]any); ok {
		for name, s := range services {
			if s, ok := s.(map[string]any); ok {
				s["name"] = name
			}
		}
	}
	bindSecretValues(model)
	if err := decode(model, reflect.ValueOf(p).Elem(), ""); err != nil {
		return err
	}
	if p.Services == nil {
		p.Services = types.Services{}
	}
	p.DisabledServices = types.Services{}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		if s := p.Services[name]; !s.HasProfile(l.Profiles) {
			p.DisabledServices[name] = s
			delete(p.Services, name)
		}
	}
	l.project.Project = p
	return l.resolveFiles()
}

// resolveFiles reads env and label files into the services that name them,
// and looks bare environment entries up.
func (l *loading) resolveFiles() error {
	p := l.project.Project
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		specs := []*types.ContainerSpec{&s.ContainerSpec}
		for i := range s.PreStart {
			specs = append(specs, &s.PreStart[i].ContainerSpec)
		}
		for _, spec := range specs {
			if !l.NoEnvResolution {
				if err := l.resolveEnvironment(spec); err != nil {
					return l.failFile(name, "env_file", err)
				}
			}
			if err := l.resolveLabels(spec); err != nil {
				return l.failFile(name, "label_file", err)
			}
		}
		p.Services[name] = s
	}
	return nil
}

// failFile is the fault of a file that a service's key names: its own place,
// where that is known, says more than the key's.
func (l *loading) failFile(service, key string, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return l.fail(service, key, "%v", err)
	}
	placed := *e
	placed.Service, placed.Key = service, key
	placed.Msg = fmt.Sprintf("service %q: %s: %s", service, key, e.Msg)
	return &placed
}

// named are the mappings whose keys are names, where "x-" is no extension.
func named(path string) bool {
	switch path {
	case "services", "networks", "volumes", "secrets", "configs":
		return true
	}
	steps := strings.Split(path, "\x00")
	if steps[0] != "services" || len(steps) < 3 {
		return false
	}
	switch steps[len(steps)-1] {
	case "depends_on", "environment", "labels", "annotations", "sysctls", "extra_hosts", "networks", "ulimits", "args":
		return true
	}
	return false
}

// separateExtensions moves "x-" keys below consts.Extensions, where the typed
// values have them. It copies what it changes.
func separateExtensions(v any, path string) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		var extras map[string]any
		names := named(path)
		for key, e := range v {
			if !names && strings.HasPrefix(key, "x-") {
				if extras == nil {
					extras = map[string]any{}
				}
				extras[key] = e
				continue
			}
			switch e.(type) {
			case map[string]any, []any:
				next := key
				if path != "" {
					next = path + "\x00" + key
				}
				e = separateExtensions(e, next)
			}
			out[key] = e
		}
		if extras != nil {
			out[consts.Extensions] = extras
		}
		return out
	case []any:
		out := slices.Clone(v)
		for i, e := range out {
			if m, ok := e.(map[string]any); ok {
				out[i] = separateExtensions(m, path+"\x00[]")
			}
		}
		return out
	}
	return v
}

// bindSecretValues moves what a secret's variable holds, which the model has
// under a key of compose-go's, to the field for it.
func bindSecretValues(model map[string]any) {
	secrets, _ := model["secrets"].(map[string]any)
	for _, s := range secrets {
		secret, _ := s.(map[string]any)
		extras, _ := secret[consts.Extensions].(map[string]any)
		value, ok := extras[types.SecretConfigXValue].(string)
		if !ok {
			continue
		}
		secret["content"] = value
		extras = maps.Clone(extras)
		delete(extras, types.SecretConfigXValue)
		delete(secret, consts.Extensions)
		if len(extras) > 0 {
			secret[consts.Extensions] = extras
		}
	}
}

// decoder is how compose-go's types say how they read themselves.
type decoder interface {
	DecodeMapstructure(any) error
}

var decoderType = reflect.TypeFor[decoder]()

// decode sets to, which is addressable, from a value of a model. Path is for
// errors.
func decode(from any, to reflect.Value, path string) (err error) {
	if from == nil {
		return nil
	}
	wrong := func() error { return fmt.Errorf("%s: unexpected value of type %T", path, from) }
	if to.Kind() == reflect.Pointer {
		if to.IsNil() {
			to.Set(reflect.New(to.Type().Elem()))
		}
		return decode(from, to.Elem(), path)
	}
	if reflect.PointerTo(to.Type()).Implements(decoderType) {
		if err := to.Addr().Interface().(decoder).DecodeMapstructure(from); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	}
	switch to.Kind() {
	case reflect.Struct:
		m, ok := from.(map[string]any)
		if !ok {
			return wrong()
		}
		return decodeStruct(m, to, path)
	case reflect.Map:
		m, ok := from.(map[string]any)
		if !ok {
			return wrong()
		}
		return decodeMap(m, to, path)
	case reflect.Slice:
		list, ok := from.([]any)
		if !ok {
			return wrong()
		}
		out := reflect.MakeSlice(to.Type(), len(list), len(list))
		for i, e := range list {
			if err := decode(e, out.Index(i), path+"["+strconv.Itoa(i)+"]"); err != nil {
				return err
			}
		}
		to.Set(out)
		return nil
	case reflect.Interface:
		to.Set(reflect.ValueOf(from))
		return nil
	}
	if !decodeScalar(from, to) {
		return wrong()
	}
	return nil
}

func decodeMap(from map[string]any, to reflect.Value, path string) error {
	out := reflect.MakeMapWithSize(to.Type(), len(from))
	for key, e := range from {
		value := reflect.New(to.Type().Elem()).Elem()
		next := key
		if path != "" {
			next = path + "." + key
		}
		if err := decode(e, value, next); err != nil {
			return err
		}
		out.SetMapIndex(reflect.ValueOf(key).Convert(to.Type().Key()), value)
	}
	to.Set(out)
	return nil
}

func decodeStruct(from map[string]any, to reflect.Value, path string) error {
	fields := fieldsOf(to.Type())
	for key, e := range from {
		at, ok := fields[key]
		if !ok {
			continue
		}
		next := key
		if path != "" {
			next = path + "." + key
		}
		if err := decode(e, to.FieldByIndex(at), next); err != nil {
			return err
		}
	}
	return nil
}

// decodeScalar converts between the plain types as far as a Compose file may:
// texts to booleans and numbers, whole numbers to texts.
func decodeScalar(from any, to reflect.Value) bool {
	value := reflect.ValueOf(from)
	switch to.Kind() {
	case reflect.String:
		switch {
		case value.Kind() == reflect.String:
			to.SetString(value.String())
		case value.CanInt():
			to.SetString(strconv.FormatInt(value.Int(), 10))
		default:
			return false
		}
		return true
	case reflect.Bool:
		if text, ok := from.(string); ok {
			b, err := strconv.ParseBool(strings.ToLower(text))
			to.SetBool(b)
			return err == nil
		}
		if value.Kind() != reflect.Bool {
			return false
		}
		to.SetBool(value.Bool())
		return true
	}
	if text, ok := from.(string); ok {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return false
		}
		value = reflect.ValueOf(n)
		if to.CanInt() {
			i, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return false
			}
			value = reflect.ValueOf(i)
		}
	}
	if !value.CanInt() && !value.CanUint() && !value.CanFloat() || !value.CanConvert(to.Type()) {
		return false
	}
	out := value.Convert(to.Type())
	switch { // a number that does not fit is wrong, not cut
	case to.CanUint() && value.CanInt() && (value.Int() < 0 || uint64(value.Int()) != out.Uint()),
		to.CanInt() && value.CanInt() && out.Int() != value.Int(),
		to.CanInt() && value.CanUint() && (out.Int() < 0 || uint64(out.Int()) != value.Uint()):
		return false
	}
	to.Set(out)
	return true
}

var structFields sync.Map // reflect.Type → map[string][]int

// fieldsOf returns a struct's fields by their key in a file. Where no tag
// names it, that is the field's name in lower case.
func fieldsOf(t reflect.Type) map[string][]int {
	if known, ok := structFields.Load(t); ok {
		return known.(map[string][]int)
	}
	fields := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		if !f.IsExported() || f.Anonymous {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch name {
		case "-":
			continue
		case "":
			name = strings.ToLower(f.Name)
		}
		if _, taken := fields[name]; !taken {
			fields[name] = f.Index
		}
	}
	structFields.Store(t, fields)
	return fields
}
