// A web application that signs people in with github.com/coreos/go-oidc/v3, as its examples do.
//
// Run as `go-oidc CONFIG`, a JSON file. What it learned is told at /state, for a test to read.
package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"sync"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

type config struct {
	Issuer       string   `json:"issuer"`
	ClientID     string   `json:"client_id"`
	ClientSecret string   `json:"client_secret"`
	Scopes       []string `json:"scopes"`
	URL          string   `json:"url"`
	Listen       string   `json:"listen"`
	CA           string   `json:"ca"`
	Certificate  string   `json:"certificate"`
	Key          string   `json:"key"`
}

// state is what a test is told; the tokens are those of the newest answer.
type state struct {
	Error           string         `json:"error,omitempty"`
	Claims          map[string]any `json:"claims,omitempty"`
	FrontClaims     map[string]any `json:"front_claims,omitempty"`
	IDToken         string         `json:"id_token,omitempty"`
	AccessToken     string         `json:"access_token,omitempty"`
	RefreshToken    string         `json:"refresh_token,omitempty"`
	UserInfo        map[string]any `json:"userinfo,omitempty"`
	EndedSessions   []string       `json:"ended_sessions"`
	CameBackSigned  bool           `json:"came_back_signed_out"`
	logoutState     string
	logoutTokensIDs map[string]bool
}

type application struct {
	config   config
	client   *http.Client
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
	oauth2   oauth2.Config

	mutex sync.Mutex
	state state
}

func main() {
	application, err := newApplication(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", application.login)
	mux.HandleFunc("/callback", application.page("Signed in", application.callback))
	mux.HandleFunc("POST /refresh", application.step(application.refresh))
	mux.HandleFunc("POST /userinfo", application.step(application.userInfo))
	mux.HandleFunc("GET /logout", application.logout)
	mux.HandleFunc("GET /signed-out", application.page("Signed out", application.signedOut))
	mux.HandleFunc("POST /backchannel", application.step(application.backChannel))
	mux.HandleFunc("GET /state", application.step(func(*http.Request) error { return nil }))
	server := &http.Server{Addr: application.config.Listen, Handler: mux}
	log.Fatal(server.ListenAndServeTLS(application.config.Certificate, application.config.Key))
}

func newApplication(path string) (*application, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var read config
	if err := json.Unmarshal(raw, &read); err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(read.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("no certificate in " + read.CA)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	client := &http.Client{Transport: transport}
	provider, err := oidc.NewProvider(oidc.ClientContext(context.Background(), client), read.Issuer)
	if err != nil {
		return nil, err
	}
	return &application{
		config:   read,
		client:   client,
		provider: provider,
		verifier: provider.Verifier(&oidc.Config{ClientID: read.ClientID}),
		oauth2: oauth2.Config{
			ClientID:     read.ClientID,
			ClientSecret: read.ClientSecret,
			Endpoint:     provider.Endpoint(),
			RedirectURL:  read.URL + "/callback",
			Scopes:       read.Scopes,
		},
		state: state{EndedSessions: []string{}, logoutTokensIDs: map[string]bool{}},
	}, nil
}

func (a *application) context(r *http.Request) context.Context {
	return oidc.ClientContext(r.Context(), a.client)
}

// login sends the browser off; what has to come back is kept in its cookies.
func (a *application) login(w http.ResponseWriter, r *http.Request) {
	sent, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	for name, value := range map[string]string{"state": sent, "nonce": nonce, "verifier": verifier} {
		// None: an answer that comes as a form is posted by another site.
		http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: 600,
			HttpOnly: true, Secure: true, SameSite: http.SameSiteNoneMode})
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)}
	for name, values := range r.URL.Query() {
		options = append(options, oauth2.SetAuthURLParam(name, values[0]))
	}
	http.Redirect(w, r, a.oauth2.AuthCodeURL(sent, options...), http.StatusFound)
}

func (a *application) callback(r *http.Request) error {
	sent, err := cookies(r, "state", "nonce", "verifier")
	if err != nil {
		return err
	}
	if r.FormValue("state") != sent["state"] {
		return errors.New("state did not match")
	}
	if code := r.FormValue("error"); code != "" {
		return fmt.Errorf("%s: %s", code, r.FormValue("error_description"))
	}
	a.state.FrontClaims = nil
	if front := r.FormValue("id_token"); front != "" {
		if a.state.FrontClaims, err = a.verified(r, front, sent["nonce"], ""); err != nil {
			return fmt.Errorf("ID token of the authorization endpoint: %w", err)
		}
	}
	token, err := a.oauth2.Exchange(a.context(r), r.FormValue("code"), oauth2.VerifierOption(sent["verifier"]))
	if err != nil {
		return err
	}
	return a.keep(r, token, sent["nonce"])
}

func cookies(r *http.Request, names ...string) (map[string]string, error) {
	found := map[string]string{}
	for _, name := range names {
		cookie, err := r.Cookie(name)
		if err != nil {
			return nil, fmt.Errorf("cookie %s: %w", name, err)
		}
		found[name] = cookie.Value
	}
	return found, nil
}

// keep verifies the ID token of an answer; only then is anything of the answer kept.
func (a *application) keep(r *http.Request, token *oauth2.Token, nonce string) error {
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return errors.New("no id_token in the answer of the token endpoint")
	}
	claims, err := a.verified(r, raw, nonce, token.AccessToken)
	if err != nil {
		return err
	}
	a.state.Claims, a.state.IDToken = claims, raw
	a.state.AccessToken, a.state.RefreshToken = token.AccessToken, token.RefreshToken
	return nil
}

func (a *application) verified(r *http.Request, raw, nonce, accessToken string) (map[string]any, error) {
	token, err := a.verifier.Verify(a.context(r), raw)
	if err != nil {
		return nil, err
	}
	if token.Nonce != nonce {
		return nil, errors.New("nonce did not match")
	}
	if accessToken != "" {
		if err := token.VerifyAccessToken(accessToken); err != nil {
			return nil, err
		}
	}
	claims := map[string]any{}
	return claims, token.Claims(&claims)
}

func (a *application) refresh(r *http.Request) error {
	old := &oauth2.Token{RefreshToken: a.state.RefreshToken}
	token, err := a.oauth2.TokenSource(a.context(r), old).Token()
	if err != nil {
		return err
	}
	nonce, _ := a.state.Claims["nonce"].(string)
	return a.keep(r, token, nonce)
}

func (a *application) userInfo(r *http.Request) error {
	token := &oauth2.Token{AccessToken: a.state.AccessToken}
	told, err := a.provider.UserInfo(a.context(r), oauth2.StaticTokenSource(token))
	if err != nil {
		return err
	}
	if told.Subject != a.state.Claims["sub"] {
		return errors.New("userinfo is about somebody else")
	}
	a.state.UserInfo = map[string]any{}
	return told.Claims(&a.state.UserInfo)
}

func (a *application) logout(w http.ResponseWriter, r *http.Request) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	var metadata struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := a.provider.Claims(&metadata); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	a.state.logoutState = rand.Text()
	query := url.Values{
		"id_token_hint":            {a.state.IDToken},
		"post_logout_redirect_uri": {a.config.URL + "/signed-out"},
		"state":                    {a.state.logoutState},
	}
	http.Redirect(w, r, metadata.EndSession+"?"+query.Encode(), http.StatusFound)
}

func (a *application) signedOut(r *http.Request) error {
	if a.state.logoutState == "" || r.FormValue("state") != a.state.logoutState {
		return errors.New("state of the logout did not match")
	}
	a.state.CameBackSigned = true
	return nil
}

func (a *application) backChannel(r *http.Request) error {
	token, err := a.verifier.VerifyLogout(a.context(r), r.PostFormValue("logout_token"))
	if err != nil {
		return err
	}
	if a.state.logoutTokensIDs[token.TokenID] {
		return errors.New("a logout token came twice")
	}
	a.state.logoutTokensIDs[token.TokenID] = true
	a.state.EndedSessions = append(a.state.EndedSessions, token.SessionID)
	return nil
}

// step answers with the state after something was done; 400 and `error` if it failed.
func (a *application) step(do func(*http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.mutex.Lock()
		defer a.mutex.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		answer := a.state
		if err := do(r); err != nil {
			answer.Error = err.Error()
			w.WriteHeader(http.StatusBadRequest)
		} else {
			answer = a.state
		}
		_ = json.NewEncoder(w).Encode(answer)
	}
}

// page does the same for a person: the title says how it went.
func (a *application) page(title string, do func(*http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.mutex.Lock()
		defer a.mutex.Unlock()
		a.state.Error = ""
		shown := title
		if err := do(r); err != nil {
			a.state.Error, shown = err.Error(), "Failed"
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "<!doctype html><html lang=en><link rel=icon href=data:><title>%s</title>", shown)
	}
}
