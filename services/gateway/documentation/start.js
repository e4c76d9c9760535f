// Shows the document of this very server. The browser sends its login along by itself.
if (window.SwaggerUIBundle) {
  window.SwaggerUIBundle({
    // From the page: a proxy may have it below a path of its own.
    url: "docs/openapi.yml",
    dom_id: "#documentation",
    deepLinking: true,
    // The online validator would send the address of this server to a stranger.
    validatorUrl: null,
    presets: [window.SwaggerUIBundle.presets.apis],
  });
}
