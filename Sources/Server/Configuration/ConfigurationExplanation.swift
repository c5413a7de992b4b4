import Base
import Broker

extension Configuration {
    /// Says in words what holds for a destination, and which rule says so.
    ///
    /// Throws what a client would be told of a name that is none.
    package func explanation(of name: String) throws(ConfigurationError) -> String {
        let kinds = ["queue", "topic", "fanout"]
        let kind = kinds.first { name.hasPrefix("/\($0)/") }
        guard let kind else {
            throw Self.refusal(name, "names begin with /queue/, /topic/ or /fanout/")
        }
        if let problem = ConfigurationNames.problem(name: name, kind: kind) {
            throw Self.refusal(name, problem)
        }
        return switch kind {
        case "queue": explainQueue(name)
        case "topic": explainTopic(name)
        default: try explainFanout(name)
        }
    }

    private static func refusal(_ name: String, _ text: String) -> ConfigurationError {
        ConfigurationError(problems: [ConfigurationProblem(place: name, text: text)])
    }

    private func explainQueue(_ name: String) -> String {
        let rule = Self.rule(name, queue.map { ($0.name, $0.match) })
        let policy = rule.map { queue[$0] } ?? Queue(defaults: defaults)
        var lines = [
            "queue \(name)",
            "  rule: " + ruleText(rule, queue.map { ($0.name, $0.match) }, "queue"),
        ]
        lines.append("  " + creation(name, isDeclared: isDeclared(name)))
        for fanout in fanout where fanout.children.contains(name) {
            lines.append("  gets what is sent to \(fanout.name)")
        }
        for key in ConfigurationKeys.queue where key.name != "name" && key.name != "match" {
            if let written = key.written(policy) {
                lines.append("  \(key.name) = \(written)")
            } else if key.name == "prefetch" {
                lines.append(
                    "  prefetch: \(defaults.prefetch) for each connection, over all its queues"
                )
            }
        }
        return lines.joined(separator: "\n")
    }

    private func explainTopic(_ name: String) -> String {
        let rule = Self.rule(name, topic.map { ($0.name, $0.match) })
        let policy = rule.map { topic[$0] } ?? Topic()
        var lines = [
            "topic \(name)",
            "  rule: " + ruleText(rule, topic.map { ($0.name, $0.match) }, "topic"),
        ]
        lines.append("  " + creation(name, isDeclared: topic.contains { $0.name == name }))
        for key in ConfigurationKeys.topic where key.name != "name" && key.name != "match" {
            if let written = key.written(policy) { lines.append("  \(key.name) = \(written)") }
        }
        return lines.joined(separator: "\n")
    }

    private func explainFanout(_ name: String) throws(ConfigurationError) -> String {
        guard let fanout = fanout.first(where: { $0.name == name }) else {
            throw Self.refusal(
                name,
                "there is no such fan-out: a fan-out is declared by [[fanout]]"
            )
        }
        return
            (["fan-out \(name)", "  each message goes to all of these, or to none"]
            + fanout.children.map { "  \($0)" }).joined(separator: "\n")
    }

    private func isDeclared(_ name: String) -> Bool {
        queue.contains { $0.name == name } || fanout.contains { $0.children.contains(name) }
    }

    /// Index of the rule that holds: the exact name, else the longest pattern that covers it, of
    /// equally long ones the first.
    private static func rule(_ name: String, _ rules: [(name: String, match: String)]) -> Int? {
        if let exact = rules.firstIndex(where: { $0.name == name }) { return exact }
        var best: Int?
        for index in rules.indices
        where !rules[index].match.isEmpty && ConfigurationNames.matches(rules[index].match, name) {
            let length = rules[index].match.utf8.count
            if best.map({ rules[$0].match.utf8.count < length }) ?? true { best = index }
        }
        return best
    }

    private func ruleText(
        _ rule: Int?,
        _ rules: [(name: String, match: String)],
        _ section: String
    ) -> String {
        guard let rule else {
            return section == "queue" ? "none; [defaults] hold" : "none; the built-in defaults hold"
        }
        let (name, match) = rules[rule]
        let field = name.isEmpty ? "match = \"\(match)\"" : "name = \"\(name)\""
        return "[[\(section)]] \(field), number \(rule + 1) in the file"
    }

    private func creation(_ name: String, isDeclared: Bool) -> String {
        if isDeclared { return "is there from the start, and stays" }
        guard let pattern = create.allow.first(where: { ConfigurationNames.matches($0, name) })
        else { return "clients cannot create it: no pattern in [create] allow covers it" }
        let end =
            create.autoDeleteAfter == .zero
            ? "and stays" : "and goes when it was unused for \(create.autoDeleteAfter)"
        return "comes with its first use ([create] allow has \"\(pattern)\"), \(end)"
    }
}
