// Shows the document of this very server. The browser sends its login along by itself.

/** What swagger-ui-bundle.js leaves behind. @typedef {{ (options: object): void, presets: { apis: unknown } }} Bundle */

const { SwaggerUIBundle: show } = /** @type {Window & { SwaggerUIBundle?: Bundle }} */ (window);
if (show) {
  show({
    // From the page: a proxy may have it below a path of its own.
    url: "docs/openapi.yml",
    dom_id: "#documentation",
    deepLinking: true,
    // The online validator would send the address of this server to a stranger.
    validatorUrl: null,
    presets: [show.presets.apis],
  });
}
