#ifndef DAEMON_OUTAGE_REPORTS_H
#define DAEMON_OUTAGE_REPORTS_H
/*
 * outage_reports: what is done when an outage has ended (storage/outage_report.h), in the background, by the worker that
 * holds the cell.
 */

void outage_reports_init(void);

#endif
