/**
 * Reports of earlier runs. A node whose result the server has at hand does not run again and says nothing, also where the
 * graph was opened anew; then its report is that of the run that made the result.
 */

/**
 * @param {object} graph the prompt that ran, `{id: {class_type, inputs}}`
 * @param {string[]} wanted ids of nodes
 * @param {object[]} history entries of the server's history, `{prompt: [, , graph], outputs: {id: output}}`
 * @returns {Map<string, object>} id -> the output of the latest run of the very same node with the very same inputs
 */
export function outputsOfEarlierRuns(graph, wanted, history) {
  const asked = signatures(graph);
  const found = new Map();
  for (const { prompt, outputs } of [...history].reverse()) {
    const before = signatures(prompt?.[2] ?? {});
    const byWhatTheyAre = new Map(Object.keys(outputs ?? {}).map((id) => [before(id), outputs[id]]));
    for (const id of wanted) {
      const output = byWhatTheyAre.get(asked(id));
      if (output && !found.has(id)) found.set(id, output);
    }
  }
  return found;
}

/** @returns {(id: string) => string} what a node is, with all that it is made from */
function signatures(graph) {
  const known = new Map();
  const isLink = (value) => Array.isArray(value) && value.length === 2 && Object.hasOwn(graph, String(value[0]));
  const of = (id) => {
    if (!known.has(id)) {
      const { class_type: kind, inputs = {} } = graph[id] ?? {};
      const told = Object.keys(inputs).sort().map((name) => {
        const value = inputs[name];
        return [name, isLink(value) ? [of(String(value[0])), value[1]] : value];
      });
      known.set(id, JSON.stringify([kind ?? id, told]));
    }
    return known.get(id);
  };
  return of;
}
