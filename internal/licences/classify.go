package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// permitted are the licences under which code may be linked into what is under
// Apache-2.0, each known by a sentence that grants it.
var permitted = []struct{ name, grant string }{
	{"Apache-2.0", "apache license version 2.0, january 2004"},
	{"Apache-2.0", "licensed under the apache license, version 2.0"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files"},
	{"BSD", "redistribution and use in source and binary forms, with or without modification, are permitted provided that the following conditions are met"},
	{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"},
	{"ISC", "permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted"},
	{"MPL-2.0", "mozilla public license version 2.0"},
	{"MPL-2.0", "mozilla public license, version 2.0"},
	{"CC0-1.0", "cc0 1.0 universal"},
	{"Unlicense", "this is free and unencumbered software released into the public domain"},
}

// refused is what a file has that permits less, beside whatever else it says. The
// text of MPL-2.0 speaks of the GPL with a comma before its version.
var refused = regexp.MustCompile(`gnu (affero |lesser |library )?general public license version \d|commons clause|business source license|server side public license|elastic license|all advertising materials mentioning`)

// classify returns the permitted licences in a text.
func classify(text string) (names []string, err error) {
	text = strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return r == ' ' || r == '\n' || r == '\r' || r == '\t' || r == '*' || r == '#' || r == '/'
	}), " ")
	text = strings.ReplaceAll(text, "and or", "and/or")
	for _, p := range permitted {
		if strings.Contains(text, p.grant) && (len(names) == 0 || names[len(names)-1] != p.name) {
			names = append(names, p.name)
		}
	}
	if no := refused.FindString(text); no != "" {
		return names, fmt.Errorf("it says %q", no)
	}
	if len(names) == 0 {
		return nil, errors.New("no permitted licence is in it")
	}
	return names, nil
}
