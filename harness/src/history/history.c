#include "history/history.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/verdict.h"
#include "record/folders.h"
#include "record/manifest.h"
#include "record/results.h"

static const char schema[] =
    "CREATE TABLE pin(reference TEXT NOT NULL);"
    "CREATE TABLE runs(run_id TEXT PRIMARY KEY, matrix TEXT NOT NULL, created_utc TEXT NOT NULL, host TEXT NOT NULL,"
    " git_sha TEXT, dirty INTEGER NOT NULL, overall TEXT, samples INTEGER NOT NULL, ok INTEGER NOT NULL);"
    "CREATE TABLE ratios(run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, cell_id TEXT NOT NULL,"
    " params TEXT NOT NULL, allocator TEXT NOT NULL, metric TEXT NOT NULL, direction TEXT NOT NULL, lib_sha256 TEXT,"
    " bin_sha256 TEXT, reference_sha256 TEXT, n INTEGER NOT NULL, median REAL, ratio REAL,"
    " PRIMARY KEY(run_id, cell_id, allocator, metric)) WITHOUT ROWID;"
    "PRAGMA user_version = 1;";

static bool complain(sqlite3 *db)
{
    const char *path = sqlite3_db_filename(db, "main");
    hzb_error("%s: %s", path ? path : HISTORY_FILE, sqlite3_errmsg(db));
    return false;
}

static bool run_sql(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK || complain(db);
}

sqlite3_stmt *history_query(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) complain(db);
    return statement;
}

static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    sqlite3_bind_text(statement, at, text, -1, SQLITE_TRANSIENT);
}

// Runs a statement that returns no rows, and drops it.
static bool finish(sqlite3 *db, sqlite3_stmt *statement)
{
    bool ok = statement && sqlite3_step(statement) == SQLITE_DONE;
    if (!ok) complain(db);
    sqlite3_finalize(statement);
    return ok;
}

static sqlite3 *open_at(const char *path, int flags)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, flags, NULL) == SQLITE_OK &&
        sqlite3_exec(db, "PRAGMA foreign_keys = ON; SELECT reference FROM pin", NULL, NULL, NULL) == SQLITE_OK)
        return db;
    if (flags & SQLITE_OPEN_CREATE) return db;
    hzb_error("%s: %s; make it with: hzb history rebuild", path, db ? sqlite3_errmsg(db) : "out of memory");
    sqlite3_close(db);
    return NULL;
}

sqlite3 *history_open(const char *results)
{
    char *path = xfmt("%s/" HISTORY_FILE, results);
    sqlite3 *db = open_at(path, SQLITE_OPEN_READWRITE);
    free(path);
    return db;
}

char *history_reference(sqlite3 *db)
{
    sqlite3_stmt *statement = history_query(db, "SELECT reference FROM pin");
    char *name = NULL;
    if (statement && sqlite3_step(statement) == SQLITE_ROW)
        name = xstrdup((const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return name;
}

typedef struct Entry {
    sqlite3 *db;
    const Results *results;
    const char *reference;
    const char *libc; // stands for the hash of an allocator that is the C library's
} Entry;

static const char *library_hash(const Entry *entry, const char *name)
{
    const Arm *arm = experiment_arm(&entry->results->experiment, name);
    if (!arm) return NULL;
    return arm->sha256 ? arm->sha256 : entry->libc;
}

static bool add_ratio(const Entry *entry, const PlanRow *cell, const Arm *arm, const CfgMetric *metric)
{
    const RunRows *runs = &entry->results->runs;
    RunColumn column = (RunColumn)run_column(metric->name);
    assert((int)column >= 0);
    Spread own = results_spread(runs, cell->cell_id, arm->name, column);
    Spread ratio = results_paired_ratio(runs, cell->cell_id, arm->name, entry->reference, column);
    if (own.n == 0) return true;
    sqlite3_stmt *statement = history_query(entry->db, "INSERT INTO ratios VALUES(?,?,?,?,?,?,?,?,?,?,?,?)");
    const Workload *workload = experiment_workload(&entry->results->experiment, cell->workload);
    const char *const texts[] = {entry->results->experiment.run_id,
                                 cell->cell_id,
                                 cell->params,
                                 arm->name,
                                 metric->name,
                                 metric->direction == DIRECTION_UP ? "up" : "down",
                                 library_hash(entry, arm->name),
                                 workload->sha256,
                                 library_hash(entry, entry->reference)};
    for (int i = 0; i < 9; i++)
        bind_text(statement, i + 1, texts[i]);
    sqlite3_bind_int64(statement, 10, own.n);
    sqlite3_bind_double(statement, 11, own.median);
    if (ratio.n) sqlite3_bind_double(statement, 12, ratio.median);
    return finish(entry->db, statement);
}

static bool add_ratios(const Entry *entry)
{
    const Results *results = entry->results;
    for (unsigned c = 0; c < results->cells.count; c++) {
        const PlanRow *cell = results_cell(results, results->cells.items[c]);
        const Workload *workload = experiment_workload(&results->experiment, cell->workload);
        for (unsigned a = 0; a < results->experiment.arm_count; a++)
            for (unsigned m = 0; m < workload->metrics_count; m++)
                if (run_column(workload->metrics[m].name) >= 0 &&
                    !add_ratio(entry, cell, &results->experiment.arms[a], &workload->metrics[m]))
                    return false;
    }
    return true;
}

static bool add_run(sqlite3 *db, const Results *results, const json_t *manifest, const Findings *findings)
{
    unsigned ok = 0;
    for (unsigned i = 0; i < results->runs.count; i++)
        ok += row_status_is(&results->runs.rows[i], "ok");
    const json_t *git = json_object_get(manifest, "git"), *host = json_object_get(manifest, "host");
    sqlite3_stmt *forget = history_query(db, "DELETE FROM runs WHERE run_id = ?");
    bind_text(forget, 1, results->experiment.run_id);
    if (!finish(db, forget)) return false;
    sqlite3_stmt *statement = history_query(db, "INSERT INTO runs VALUES(?,?,?,?,?,?,?,?,?)");
    bind_text(statement, 1, results->experiment.run_id);
    bind_text(statement, 2, results->experiment.matrix);
    bind_text(statement, 3, json_string_value(json_object_get(manifest, "created_utc")));
    bind_text(statement, 4, json_string_value(json_object_get(host, "hostname")));
    bind_text(statement, 5, json_string_value(json_object_get(git, "sha")));
    sqlite3_bind_int(statement, 6, json_is_true(json_object_get(git, "dirty")));
    bind_text(statement, 7, findings->overall == OVERALL_UNJUDGED ? NULL : overall_names[findings->overall]);
    sqlite3_bind_int64(statement, 8, results->runs.count);
    sqlite3_bind_int64(statement, 9, ok);
    return finish(db, statement);
}

static bool add_folder(sqlite3 *db, const char *dir, const char *reference)
{
    Results results;
    Findings findings;
    json_t *manifest = NULL;
    bool ok = results_load(dir, &results) && verdict_read(dir, &findings) && (manifest = manifest_json(dir));
    if (ok) {
        const char *libc = json_string_value(json_object_get(json_object_get(manifest, "host"), "libc"));
        const Entry entry = {db, &results, reference, libc};
        ok = add_run(db, &results, manifest, &findings) && add_ratios(&entry);
    }
    json_decref(manifest);
    results_drop_rows(&results);
    return ok;
}

bool history_add(const char *results, const char *dir)
{
    sqlite3 *db = history_open(results);
    char *reference = db ? history_reference(db) : NULL;
    bool ok = reference && run_sql(db, "BEGIN") && add_folder(db, dir, reference) && run_sql(db, "COMMIT");
    sqlite3_close(db);
    free(reference);
    return ok;
}

// All of a folder or nothing of it.
static bool add_whole_folder(sqlite3 *db, const char *dir, const char *reference)
{
    if (!run_sql(db, "SAVEPOINT folder")) return false;
    bool added = add_folder(db, dir, reference);
    return (added || run_sql(db, "ROLLBACK TO folder")) && run_sql(db, "RELEASE folder") && added;
}

// A folder that cannot be read must not cost the history of all others.
static bool add_folders(sqlite3 *db, const char *results, const char *reference)
{
    StrList folders;
    if (!folders_list(results, &folders)) return false;
    for (unsigned i = 0; i < folders.count; i++)
        if (!add_whole_folder(db, folders.items[i], reference)) hzb_note("%s: left out", folders.items[i]);
    list_free(&folders);
    return true;
}

bool history_rebuild(const char *results, const char *reference)
{
    char *path = xfmt("%s/" HISTORY_FILE, results), *fresh = xfmt("%s.new", path);
    unlink(fresh);
    sqlite3 *db = open_at(fresh, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    bool ok = run_sql(db, schema) && run_sql(db, "PRAGMA foreign_keys = ON; BEGIN");
    sqlite3_stmt *pin = ok ? history_query(db, "INSERT INTO pin VALUES(?)") : NULL;
    if (pin) bind_text(pin, 1, reference);
    ok = ok && finish(db, pin) && add_folders(db, results, reference) && run_sql(db, "COMMIT");
    sqlite3_close(db);
    if (ok && rename(fresh, path) != 0) {
        hzb_error("%s: %s", path, strerror(errno));
        ok = false;
    }
    if (!ok) unlink(fresh);
    free(path);
    free(fresh);
    return ok;
}

bool history_list(const char *results)
{
    sqlite3 *db = history_open(results);
    sqlite3_stmt *statement = db ? history_query(db, "SELECT run_id, ifnull(overall, 'unjudged'), ok, samples FROM runs"
                                                     " ORDER BY created_utc")
                                 : NULL;
    unsigned count = 0;
    while (statement && sqlite3_step(statement) == SQLITE_ROW) {
        printf("%-50s  %-12s  %d of %d ok\n", sqlite3_column_text(statement, 0), sqlite3_column_text(statement, 1),
               sqlite3_column_int(statement, 2), sqlite3_column_int(statement, 3));
        count++;
    }
    if (statement && count == 0) puts("no runs");
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return statement != NULL;
}
