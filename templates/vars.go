package templates

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// variables matches ${name}.
func variables() *regexp.Regexp { return regexp.MustCompile(`\$\{([a-z][a-z0-9_]*)\}`) }

// expand returns the recipe with its variables' values in place of ${name}, those in set before the recipe's own. A
// variable without a value stays as it is written, and so does ${name} of something else: files may hold scripts.
func (r recipe) expand(set map[string]string) recipe {
	vars := map[string]string{}
	maps.Copy(vars, r.Vars)
	maps.Copy(vars, set)
	replace := func(s string) string {
		if !strings.Contains(s, "${") {
			return s
		}
		return variables().ReplaceAllStringFunc(s, func(ref string) string {
			if v := vars[strings.Trim(ref, "${}")]; v != "" {
				return v
			}
			return ref
		})
	}
	out := reflect.New(reflect.TypeOf(r)).Elem()
	copyReplaced(out, reflect.ValueOf(r), replace)
	result := out.Interface().(recipe)
	result.Vars = vars
	return result
}

// copyReplaced copies from to to with every string replaced; maps are left out.
func copyReplaced(to, from reflect.Value, replace func(string) string) {
	switch from.Kind() {
	case reflect.String:
		to.SetString(replace(from.String()))
	case reflect.Struct:
		for i := range from.NumField() {
			copyReplaced(to.Field(i), from.Field(i), replace)
		}
	case reflect.Slice:
		if from.IsNil() {
			return
		}
		to.Set(reflect.MakeSlice(from.Type(), from.Len(), from.Len()))
		for i := range from.Len() {
			copyReplaced(to.Index(i), from.Index(i), replace)
		}
	case reflect.Bool:
		to.SetBool(from.Bool())
	}
}

// set returns the recipe with variables set, or FieldErrors that name everything that is wrong with them. data is its text.
func (r recipe) set(values map[string]string, data []byte) (recipe, error) {
	var errs sysctl.FieldErrors
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, ok := r.Vars[name]; !ok {
			known := strings.Join(slices.Sorted(maps.Keys(r.Vars)), ", ")
			if known == "" {
				known = "it has none"
			}
			errs.Add(name, "is no variable of template %s: %s", r.Name, known)
		}
	}
	r = r.expand(values)
	for _, name := range slices.Sorted(maps.Keys(r.Vars)) {
		if r.Vars[name] == "" {
			errs.Add(name, "has no value: sysctl template build %s --set %s=VALUE", r.Name, name)
		}
	}
	if err := errs.Err(); err != nil {
		return r, err
	}
	return r, r.check(r.Name, data, newRules())
}
