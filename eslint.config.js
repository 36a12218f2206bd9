// Linting of the review page's modules; development only (`npm ci`, then `npm run lint`).

import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "array-callback-return": "error",
      complexity: ["error", 14],
      curly: ["error", "multi"],
      eqeqeq: "error",
      "max-lines": ["error", 400],
      "max-lines-per-function": ["error", 60],
      "no-constant-binary-expression": "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-param-reassign": "error",
      "no-self-compare": "error",
      "no-shadow": "error",
      "no-unused-private-class-members": "error",
      "no-use-before-define": ["error", { functions: false, classes: false, variables: false }],
      "no-useless-return": "error",
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "prefer-template": "error",
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "Text of a study is never markup: use textContent." },
        { property: "outerHTML", message: "Text of a study is never markup: use textContent." },
        { property: "insertAdjacentHTML", message: "Text of a study is never markup: use textContent." },
        { object: "document", property: "write", message: "Text of a study is never markup." },
      ],
      "no-restricted-globals": ["error", "fetch", "XMLHttpRequest", "WebSocket", "eval"],
    },
  },
  { files: ["resources/review/*.mjs"], languageOptions: { globals: globals.browser } },
  { files: ["tests/**/*.mjs", "benchmarks/*.mjs"], languageOptions: { globals: globals.node }, rules: { "max-lines-per-function": "off" } },
];
