/* SPDX-License-Identifier: Apache-2.0 */
/* dvs completion: the completion script of bash, written from the table of commands. Names of
 * DCs and endpoints are asked of dvs itself when they are needed. */
#include <string.h>

#include "manage/cli.h"

static const char head[] =
	"# bash completion for dvs, made by 'dvs completion bash'\n"
	"\n"
	"# What follows the words in COMP_WORDS: $command, $run_dir, and $pending, the option that\n"
	"# still wants its value.\n"
	"_dvs_look()\n"
	"{\n"
	"\tlocal i word\n"
	"\tcommand='' run_dir='' pending=''\n"
	"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	"\t\tword=${COMP_WORDS[i]}\n"
	"\t\t[[ $word == '=' ]] && continue\n"
	"\t\tif [[ $pending ]]; then\n"
	"\t\t\t[[ $pending == --run-dir ]] && run_dir=$word\n"
	"\t\t\tpending=\n"
	"\t\telif [[ $word == -* ]]; then\n"
	"\t\t\t_dvs_values \"$word\" \"$command\" && pending=$word\n"
	"\t\telif [[ ! $command || \" $groups \" == *\" $command \"* ]]; then\n"
	"\t\t\tcommand=${command:+$command }$word\n"
	"\t\tfi\n"
	"\tdone\n"
	"}\n"
	"\n"
	"_dvs_ask()\n"
	"{\n"
	"\tdvs ${run_dir:+--run-dir \"$run_dir\"} \"$@\" 2>/dev/null\n"
	"}\n"
	"\n";

static const char tail[] =
	"\n"
	"_dvs()\n"
	"{\n"
	"\tlocal command run_dir pending options kind offer words groups\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n"
	"\t[[ $cur == '=' ]] && cur=\n"
	"\tCOMPREPLY=()\n"
	"\tgroups=$(_dvs_groups)\n"
	"\t_dvs_look\n"
	"\tif [[ $pending ]]; then\n"
	"\t\t_dvs_values \"$pending\" \"$command\"\n"
	"\telif _dvs_command \"$command\" && [[ $cur == -* ]]; then\n"
	"\t\toffer=words words=$options\n"
	"\telse\n"
	"\t\toffer=words words=\n"
	"\t\tcase $kind in\n"
	"\t\tdc) words=$(_dvs_ask dc ls -q) ;;\n"
	"\t\tendpoint) words=$(_dvs_ask ep ls -q) ;;\n"
	"\t\tdc-or-endpoint) words=$(_dvs_ask dc ls -q; _dvs_ask ep ls -q) ;;\n"
	"\t\tprogram) words=$(_dvs_ask ps -q) ;;\n"
	"\t\tfile) offer=file ;;\n"
	"\t\tfile-or-dc) words=$(_dvs_ask dc ls -q; compgen -f -- \"$cur\") ;;\n"
	"\t\tvolume) words=$(_dvs_ask vol ls -q) ;;\n"
	"\t\tfilesystem) words=$(_dvs_ask fs ls -q) ;;\n"
	"\t\treplica) words=\"add rm $(_dvs_ask vol ls -q)\" ;;\n"
	"\t\tshell) words=bash ;;\n"
	"\t\tcommand) words=$(_dvs_words '') ;;\n"
	"\t\tword) words=$(_dvs_words \"$command\") ;;\n"
	"\t\tesac\n"
	"\tfi\n"
	"\tcase $offer in\n"
	"\twords) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\") ;;\n"
	"\tdir) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n"
	"\tfile) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
	"\tesac\n"
	"} &&\n"
	"\tcomplete -F _dvs dvs\n";

/* The words that can follow the group, each once. They stand together in the table. */
static void write_words(FILE *file, const char *group)
{
	size_t n_commands;
	const struct command *commands = command_table(&n_commands);
	size_t group_len = strlen(group);
	const char *last = "";

	for (size_t i = 0; i < n_commands; i++) {
		const char *word = commands[i].name;
		size_t len;

		if (group_len > 0) {
			if (strncmp(word, group, group_len) != 0 || word[group_len] != ' ')
				continue;
			word += group_len + 1;
		}
		len = strcspn(word, " ");
		if (strncmp(last, word, len) == 0 && (last[len] == ' ' || !last[len]))
			continue;
		fprintf(file, " %.*s", (int)len, word);
		last = word;
	}
}

/* Call WRITE for the first word of each two-word command, each once. */
static void for_each_group(FILE *file, void (*write)(FILE *file, const char *group))
{
	size_t n_commands;
	const struct command *commands = command_table(&n_commands);
	char last[32] = "";

	for (size_t i = 0; i < n_commands; i++) {
		size_t len = strcspn(commands[i].name, " ");

		if (!commands[i].name[len] || len >= sizeof(last) ||
		    (strncmp(last, commands[i].name, len) == 0 && !last[len]))
			continue;
		memcpy(last, commands[i].name, len);
		last[len] = '\0';
		write(file, last);
	}
}

static void write_group_name(FILE *file, const char *group)
{
	fprintf(file, " %s", group);
}

static void write_group_words(FILE *file, const char *group)
{
	fprintf(file, "\t\"%s\") echo", group);
	write_words(file, group);
	fputs(" ;;\n", file);
}

static void write_words_function(FILE *file)
{
	fputs("# The words that can follow $1.\n_dvs_words()\n{\n\tcase $1 in\n\t'') echo", file);
	write_words(file, "");
	fputs(" ;;\n", file);
	for_each_group(file, write_group_words);
	fputs("\tesac\n}\n\n_dvs_groups()\n{\n\techo", file);
	for_each_group(file, write_group_name);
	fputs("\n}\n\n", file);
}

static void write_offer(FILE *file, const struct cli_option *option)
{
	if (option->choices)
		fprintf(file, "offer='words' words='%s'", option->choices);
	else if (strcmp(option->value, "DIR") == 0)
		fputs("offer='dir'", file);
	else if (strcmp(option->value, "FILE") == 0)
		fputs("offer='file'", file);
	else
		fputs("offer='none'", file);
}

/* The rows of OPTIONS; PREFIX begins the pattern: "'NAME" of a command, or "*'" for all. */
static void write_values(FILE *file, const char *prefix, const struct cli_option *option)
{
	for (; option && option->id != OPTION_END; option++) {
		if (!option->value)
			continue;
		fputc('\t', file);
		if (option->letter)
			fprintf(file, "%s -%c'|", prefix, option->letter);
		fprintf(file, "%s --%s') ", prefix, option->name);
		write_offer(file, option);
		fputs(" ;;\n", file);
	}
}

static void write_values_function(FILE *file)
{
	size_t n_commands;
	const struct command *commands = command_table(&n_commands);

	fputs("# What to offer for the value of option $1 of command $2; fails if it takes none.\n"
	      "_dvs_values()\n{\n\tcase \"$2 $1\" in\n",
	      file);
	for (size_t i = 0; i < n_commands; i++) {
		char prefix[32];

		snprintf(prefix, sizeof(prefix), "'%s", commands[i].name);
		write_values(file, prefix, commands[i].options);
	}
	write_values(file, "*'", command_common_options());
	fputs("\t*) return 1 ;;\n\tesac\n}\n\n", file);
}

static void write_option_names(FILE *file, const struct cli_option *option)
{
	for (; option && option->id != OPTION_END; option++)
		fprintf(file, " --%s", option->name);
}

static const char *kind_word(enum argument_kind kind)
{
	switch (kind) {
	case ARGUMENT_OTHER:
		return "none";
	case ARGUMENT_DC:
		return "dc";
	case ARGUMENT_ENDPOINT:
		return "endpoint";
	case ARGUMENT_DC_OR_ENDPOINT:
		return "dc-or-endpoint";
	case ARGUMENT_COMMAND:
		return "command";
	case ARGUMENT_PROGRAM:
		return "program";
	case ARGUMENT_FILE:
		return "file";
	case ARGUMENT_FILE_OR_DC:
		return "file-or-dc";
	case ARGUMENT_SHELL:
		return "shell";
	case ARGUMENT_VOLUME:
		return "volume";
	case ARGUMENT_REPLICA:
		return "replica";
	case ARGUMENT_FS:
		return "filesystem";
	}
	return "none";
}

static void write_command_function(FILE *file)
{
	size_t n_commands;
	const struct command *commands = command_table(&n_commands);

	fputs("# The $options of command $1 and the $kind of its arguments.\n"
	      "_dvs_command()\n{\n\toptions='",
	      file);
	write_option_names(file, command_common_options());
	fputs("' kind=word\n\tcase $1 in\n", file);
	for (size_t i = 0; i < n_commands; i++) {
		/* A command may be followed by several arguments; they stay of one kind. */
		fprintf(file, "\t\"%s\") kind=%s options%s='", commands[i].name,
			kind_word(commands[i].argument), commands[i].takes_rest ? "" : "+");
		write_option_names(file, commands[i].options);
		fputs("' ;;\n", file);
	}
	fputs("\tesac\n}\n", file);
}

int cmd_completion(struct cli *cli)
{
	FILE *file = cli->output.file;

	if (strcmp(cli->words[0], "bash") != 0)
		return cli_usage(cli, "there is no completion for '%s'; there is one for: bash",
				 cli->words[0]);
	fputs(head, file);
	write_words_function(file);
	write_values_function(file);
	write_command_function(file);
	fputs(tail, file);
	return EXIT_DONE;
}
